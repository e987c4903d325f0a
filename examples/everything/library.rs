//! Resources, templates and prompts, with completion.

use crate::fixtures::PNG;
use mcp_blocking::content::{Content, PromptMessage, ResourceContents, ResourceLink};
use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::serde_json::json;
use mcp_blocking::{NoArgs, Server};
use serde::Deserialize;

#[derive(Deserialize)]
struct Data {
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// First test argument.
    arg1: String,
    /// Second test argument.
    arg2: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    /// The address of the resource to embed.
    resource_uri: String,
}

#[derive(Deserialize, JsonSchema)]
struct Context {
    context: String,
}

pub fn register(server: Server) -> Server {
    prompts(resources(server))
}

fn resources(server: Server) -> Server {
    let resource = |uri: &str, name: &str, description: &str, kind: &str| {
        ResourceLink::new(uri, name).description(description).mime_type(kind)
    };
    server
        .resource_with(
            resource("test://static-text", "Static text", "A text that never changes", "text/plain"),
            |_ctx| Ok("This is the content of the static text resource."),
        )
        .resource_with(
            resource("test://static-binary", "Static image", "An image that never changes", "image/png"),
            |_ctx| Ok(PNG.to_vec()),
        )
        .resource_with(
            resource("test://watched-resource", "Watched resource", "A resource to subscribe to", "text/plain"),
            |_ctx| Ok("Watched resource content"),
        )
        .template_with(
            resource("test://template/{id}/data", "Data by id", "Data for any id", "application/json"),
            |_ctx, Data { id }| {
                Ok(json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string())
            },
        )
        .complete_template("test://template/{id}/data", "id", |_ctx, prefix| {
            Ok(["123", "124", "200"].map(str::to_owned).into_iter().filter(|id| id.starts_with(&**prefix)).collect())
        })
        .tool("update_watched_resource", "Tells those who watch it that the resource has changed", |ctx, NoArgs| {
            ctx.handle().resource_updated("test://watched-resource");
            Ok("Told them")
        })
}

fn prompts(server: Server) -> Server {
    server
        .prompt("test_simple_prompt", "A prompt without arguments", |_ctx, NoArgs| {
            Ok("This is a simple prompt for testing.")
        })
        .prompt("test_prompt_with_arguments", "A prompt with two arguments", |_ctx, Two { arg1, arg2 }| {
            Ok(format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))
        })
        .complete_prompt("test_prompt_with_arguments", "arg1", |_ctx, prefix| {
            let words = ["test", "testing", "tested"].map(str::to_owned);
            Ok(words.into_iter().filter(|word| word.starts_with(&**prefix)).collect())
        })
        .prompt(
            "test_prompt_with_embedded_resource",
            "A prompt with a resource in it",
            |_ctx, Embedded { resource_uri }| {
                let resource = ResourceContents::text(resource_uri, "Embedded resource content for testing.");
                Ok(vec![
                    PromptMessage::user(Content::resource(resource.mime_type("text/plain"))),
                    PromptMessage::user("Please process the embedded resource above."),
                ])
            },
        )
        .prompt("test_prompt_with_image", "A prompt with an image in it", |_ctx, NoArgs| {
            Ok(vec![
                PromptMessage::user(Content::image(PNG, "image/png")),
                PromptMessage::user("Please analyze the image above."),
            ])
        })
        .prompt("test_input_required_result_prompt", "A prompt that asks before it answers", |ctx, NoArgs| {
            let Context { context } = ctx.ask("user_context", "What context should the prompt use?")?.accepted()?;
            Ok(format!("Use this context: {context}"))
        })
        .tool("test_trigger_prompt_change", "Tells the clients that the list of prompts has changed", |ctx, NoArgs| {
            ctx.handle().prompts_changed();
            Ok("Told them")
        })
}
