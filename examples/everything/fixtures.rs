//! The tools that the official conformance suite calls, with the texts that it expects.

use mcp_blocking::content::{Content, ResourceContents};
use mcp_blocking::serde_json::{Value, json};
use mcp_blocking::{Ctx, LogLevel, NoArgs, Server, Tool, ToolError, ToolResult};
use std::time::Duration;

/// A PNG of one red pixel.
pub const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49,
    0x44, 0x41, 0x54, 0x08, 0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03, 0x01, 0x01, 0x00, 0x18, 0xdd, 0x8d, 0xb0,
    0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
/// A WAV file without a sample.
const WAV: &[u8] = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00";
/// The pause between the steps of the tools that have some.
const STEP: Duration = Duration::from_millis(50);

pub fn register(server: Server) -> Server {
    server
        // First in the list: one of the suite's scenarios calls whatever comes first, without arguments.
        .tool_with(Tool::new("test_simple_text", "Returns a text").rank(-1), |_ctx, NoArgs| {
            Ok("This is a simple text response for testing.")
        })
        .tool("test_image_content", "Returns an image", |_ctx, NoArgs| Ok(Content::image(PNG, "image/png")))
        .tool("test_audio_content", "Returns audio", |_ctx, NoArgs| Ok(Content::audio(WAV, "audio/wav")))
        .tool("test_embedded_resource", "Returns an embedded resource", |_ctx, NoArgs| {
            let text = "This is an embedded resource content.";
            Ok(Content::resource(ResourceContents::text("test://embedded-resource", text).mime_type("text/plain")))
        })
        .tool("test_multiple_content_types", "Returns a text, an image and a resource", |_ctx, NoArgs| {
            let json = r#"{"test":"data","value":123}"#;
            Ok(vec![
                Content::text("Multiple content types test:"),
                Content::image(PNG, "image/png"),
                Content::resource(
                    ResourceContents::text("test://mixed-content-resource", json).mime_type("application/json"),
                ),
            ])
        })
        .tool("test_tool_with_logging", "Sends three log messages", |ctx, NoArgs| {
            log_steps(ctx)?;
            Ok("Sent three log messages")
        })
        .tool("test_logging_tool", "Sends log messages, to clients that ask for them", |ctx, NoArgs| {
            log_steps(ctx)?;
            Ok("Done")
        })
        .tool("test_error_handling", "Always fails", |_ctx, NoArgs| -> ToolResult<String> {
            Err(ToolError::new("This tool intentionally returns an error for testing"))
        })
        .tool("test_tool_with_progress", "Reports progress three times", |ctx, NoArgs| {
            for done in [0.0, 50.0, 100.0] {
                ctx.progress(done, 100.0)?;
                ctx.sleep(STEP)?;
            }
            Ok("Reported progress three times")
        })
        .tool("test_reconnection", "Lets go of the connection and answers a little later", |ctx, NoArgs| {
            ctx.release_connection(STEP);
            ctx.sleep(STEP * 4)?;
            Ok("This answer was there for you when you came back")
        })
        .tool("test_missing_capability", "Needs a client that can sample", |ctx, NoArgs| {
            ctx.require_sampling()?;
            Ok("The client can sample")
        })
        .tool("test_streaming_elicitation", "Streams before it answers", |ctx, NoArgs| {
            ctx.progress(1.0, 1.0)?;
            Ok("Nothing to ask")
        })
        .tool("test_trigger_tool_change", "Tells the clients that the list of tools has changed", |ctx, NoArgs| {
            ctx.handle().tools_changed();
            Ok("Told them")
        })
        .tool_raw(
            Tool::new("json_schema_2020_12_tool", "Has a schema with many keywords"),
            &schema_2020_12(),
            echo_json,
        )
        .tool_raw(
            Tool::new("test_header_tool", "Has an argument that HTTP clients mirror in a header"),
            &header(),
            echo_json,
        )
}

fn log_steps(ctx: &Ctx) -> ToolResult<()> {
    for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        ctx.log(LogLevel::Info, text);
        ctx.sleep(STEP)?;
    }
    Ok(())
}

fn echo_json(_ctx: &Ctx, arguments: Value) -> ToolResult<String> {
    Ok(format!("Called with {arguments}"))
}

fn header() -> Value {
    json!({
        "type": "object",
        "properties": { "region": { "type": "string", "description": "Any word", "x-mcp-header": "Region" } },
    })
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}
