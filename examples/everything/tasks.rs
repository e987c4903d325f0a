//! Tools that run as tasks: what the official conformance suite asks for of the tasks extension.

use mcp_blocking::ask::Form;
use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::{NoArgs, Server, TaskSupport, Tool, ToolError, ToolResult};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize, JsonSchema)]
struct Greet {
    /// Whom to greet.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Compute {
    /// How long to take.
    #[schemars(range(min = 0, max = 3_600))]
    seconds: u64,
    /// What to call the result.
    #[serde(default)]
    label: String,
}

#[derive(Deserialize, JsonSchema)]
struct File {
    /// What to delete.
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirm {
    confirm: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

pub fn register(server: Server) -> Server {
    server
        .tool("greet", "Greets, and is never a task", |_ctx, Greet { name }| Ok(format!("Hello, {name}!")))
        .tool_with(
            Tool::new("slow_compute", "Takes its time; at once if it has to take none")
                .task(TaskSupport::Optional)
                .detaches()
                .immediate_response("The computation goes on in the background."),
            |ctx, Compute { seconds, label }| {
                if seconds > 0 {
                    ctx.detach()?;
                }
                for second in 0..seconds {
                    ctx.report(second as f64, Some(seconds as f64), Some(&format!("second {second} of {seconds}")))?;
                    ctx.sleep(Duration::from_secs(1))?;
                }
                Ok(format!("computed {label} in {seconds} s"))
            },
        )
        .tool_with(
            Tool::new("failing_job", "Fails after a second, as a task only").task(TaskSupport::Required),
            |ctx, NoArgs| -> ToolResult<String> {
                ctx.sleep(Duration::from_secs(1))?;
                Err(ToolError::new("This job fails, as it is meant to"))
            },
        )
        .tool_with(
            Tool::new("protocol_error_job", "Ends with an error of the protocol").task(TaskSupport::Optional),
            |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::rpc(-32603, "This job ends with an error")) },
        )
        .tool_with(
            Tool::new("confirm_delete", "Asks in the middle of its task").task(TaskSupport::Optional),
            |ctx, File { filename }| {
                let Confirm { confirm } = ctx.ask("confirm", format!("Delete {filename}?"))?.accepted()?;
                Ok(if confirm { format!("deleted {filename}") } else { format!("kept {filename}") })
            },
        )
        .tool_with(
            Tool::new("multi_input", "Asks two things at once in the middle of its task").task(TaskSupport::Optional),
            |ctx, NoArgs| {
                let (first, second) = ctx.ask_all((
                    Form::<Name>::new("first", "What is the first name?"),
                    Form::<Name>::new("second", "What is the second name?"),
                ))?;
                Ok(format!("{} and {}", first.accepted()?.name, second.accepted()?.name))
            },
        )
        .tool_with(
            Tool::new("test_tool_with_task", "Asks for a name before there is a task")
                .task(TaskSupport::Required)
                .detaches(),
            |ctx, NoArgs| {
                let Name { name } = ctx.ask("user_name", "What is your name?")?.accepted()?;
                ctx.detach()?;
                Ok(format!("A task for {name} is done"))
            },
        )
}
