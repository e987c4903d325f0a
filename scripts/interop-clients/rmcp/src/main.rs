//! rmcp's client over WebSocket, Streamable HTTP or stdio.

mod answers;
mod options;
mod websocket;

use answers::Answers;
use options::{Call, Options};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientNotification, ClientRequest, CustomNotification,
    CustomRequest, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams, ServerResult,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, PeerRequestOptions, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use websocket::WebSocket;

type Client = RunningService<RoleClient, Answers>;
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Between two looks at what the server is doing.
const LOOK: Duration = Duration::from_millis(20);
/// Once the client closes, it gives up what its transport has under way itself.
static CLOSING: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err((text, complaint)) if complaint => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
        Err((text, _)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    let _ = log::set_logger(&Trouble);
    log::set_max_level(log::LevelFilter::Debug);
    match within(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn within(options: &Options) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async { tokio::time::timeout(options.timeout, run(options)).await });
    outcome.map_err(|_| format!("no end after {:?}", options.timeout))?
}

async fn run(options: &Options) -> Outcome<()> {
    let (heard, mut notifications) = unbounded_channel();
    let client = connect(options, Answers { quiet: AtomicBool::new(false), custom: heard }).await?;
    let tools = lists(&client).await?;
    if let Some(uri) = &options.resource {
        let read = client.read_resource(ReadResourceRequestParams::new(uri)).await?;
        println!("read {uri}: {}", short(&serde_json::to_string(&read)?));
    }
    if let Some(name) = &options.prompt {
        let params = GetPromptRequestParams::new(name).with_arguments(options.prompt_args.clone());
        let prompt = client.get_prompt(params).await?;
        println!("prompt {name}: {}", short(&serde_json::to_string(&prompt)?));
    }
    if options.custom {
        custom(&client, &mut notifications).await?;
    }
    tokio::time::sleep(options.idle).await;
    let tool = options.tool.clone().or_else(|| tools.first().cloned()).ok_or("the server lists no tool to call")?;
    let first = Call { tool, args: options.args.clone(), expect: options.expect.clone() };
    for call in std::iter::repeat_n(&first, options.calls).chain(&options.then) {
        let result = client.call_tool(params(&call.tool, &call.args)).await?;
        show(call, &result)?;
    }
    if options.cancel {
        cancel(&client).await?;
    }
    CLOSING.store(true, Ordering::Relaxed);
    let closing = Instant::now();
    client.cancel().await?;
    println!("ok, closed in {:.2} s", closing.elapsed().as_secs_f64());
    Ok(())
}

async fn connect(options: &Options, answers: Answers) -> Outcome<Client> {
    let newest = || vec![ProtocolVersion::V_2026_07_28];
    let mode = match &*options.revision {
        "legacy" => ClientLifecycleMode::Initialize,
        "auto" => ClientLifecycleMode::Auto { preferred_versions: newest(), legacy_version: None },
        _ => ClientLifecycleMode::Discover { preferred_versions: newest() },
    };
    let client = match options.url() {
        Some(url) if url.starts_with("ws") => {
            answers.serve_with_lifecycle(WebSocket::connect(url).await?, mode).await?
        }
        Some(url) => answers.serve_with_lifecycle(StreamableHttpClientTransport::from_uri(url), mode).await?,
        None => {
            let (program, arguments) = options.target.split_first().ok_or("no command")?;
            let mut command = Command::new(program);
            command.args(arguments);
            answers.serve_with_lifecycle(TokioChildProcess::new(command)?, mode).await?
        }
    };
    let server = client.peer_info().ok_or("nothing is known of the server")?;
    let who = server.server_info.as_ref().map(|info| format!("{} {}", info.name, info.version));
    let who = who.unwrap_or_else(|| "a server that names itself nowhere".into());
    println!("connected: {who}, protocol {}", server.protocol_version);
    Ok(client)
}

/// Prints all lists, and returns the names of the tools.
async fn lists(client: &Client) -> Outcome<Vec<String>> {
    let has = client.peer_info().ok_or("nothing is known of the server")?.capabilities.clone();
    let mut tools = Vec::new();
    if has.tools.is_some() {
        tools = client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
        shown("tools", &tools);
    }
    if has.resources.is_some() {
        let resources: Vec<_> = client.list_all_resources().await?.into_iter().map(|resource| resource.uri).collect();
        shown("resources", &resources);
        let templates = client.list_all_resource_templates().await?;
        shown("resource templates", &templates.into_iter().map(|one| one.uri_template).collect::<Vec<_>>());
    }
    if has.prompts.is_some() {
        let prompts: Vec<_> = client.list_all_prompts().await?.into_iter().map(|prompt| prompt.name).collect();
        shown("prompts", &prompts);
    }
    Ok(tools)
}

fn shown(title: &str, names: &[String]) {
    println!("{title} ({}): {}", names.len(), names.join(", "));
}

fn show(call: &Call, result: &CallToolResult) -> Outcome<()> {
    let json = serde_json::to_string(result)?;
    println!("call {} {}: {}", call.tool, serde_json::to_string(&call.args)?, short(&json));
    if result.is_error == Some(true) {
        return Err("the tool answered isError".into());
    }
    match &call.expect {
        Some(text) if !json.contains(&**text) => Err(format!("{text:?} is not in the result").into()),
        _ => Ok(()),
    }
}

/// Uses the method acme/search and the notification acme/seen, which MCP does not have.
async fn custom(client: &Client, notifications: &mut UnboundedReceiver<CustomNotification>) -> Outcome<()> {
    let text = format!("note of {}", std::process::id());
    let legacy = client.peer_info().is_some_and(|server| server.protocol_version.has_initialize());
    let seen = CustomNotification::new("acme/seen", Some(json!({ "text": text, "ack": legacy })));
    client.send_notification(ClientNotification::CustomNotification(seen)).await?;
    if legacy {
        let ack = notifications.recv().await.ok_or("the client has ended")?;
        println!("notification: {} {}", ack.method, ack.params.unwrap_or_default());
    }
    // They may travel on connections of their own.
    let found = loop {
        let search = CustomRequest::new("acme/search", Some(json!({ "query": text })));
        match client.send_request(ClientRequest::CustomRequest(search)).await? {
            ServerResult::CustomResult(found) if found.0["items"] == json!([]) => tokio::time::sleep(LOOK).await,
            ServerResult::CustomResult(found) => break found.0,
            other => return Err(format!("acme/search answered {other:?}").into()),
        }
    };
    println!("custom: {found}");
    if found["items"] == json!([text]) {
        return Ok(());
    }
    Err("the custom notification was not found by the custom method".into())
}

/// Calls `slow`, cancels it, and sees that the server has noticed and that it has ended there.
async fn cancel(client: &Client) -> Outcome<()> {
    client.service().quiet.store(true, Ordering::Relaxed);
    let (_, before) = status(client).await?;
    let args = Map::from_iter([("ms".to_owned(), json!(60_000))]);
    let slow = ClientRequest::CallToolRequest(CallToolRequest::new(params("slow", &args)));
    let mut call = client.send_cancellable_request(slow, PeerRequestOptions::no_options()).await?;
    while status(client).await?.0 < 2 {
        if let Ok(answer) = call.rx.try_recv() {
            return Err(format!("slow was not cancelled: {answer:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    let begun = Instant::now();
    call.cancel(Some("enough".into())).await?;
    while status(client).await? != (1, before + 1) {
        tokio::time::sleep(LOOK).await;
    }
    println!("cancelled: noticed and ended within {} ms", begun.elapsed().as_millis());
    Ok(())
}

/// How many calls are under way, and how many have been cancelled so far.
async fn status(client: &Client) -> Outcome<(u64, u64)> {
    let result = client.call_tool(params("status", &Map::new())).await?;
    let text = result.content.first().and_then(|first| first.as_text()).ok_or("status answered no text")?;
    let status: Value = serde_json::from_str(&text.text)?;
    let number = |name: &str| status[name].as_u64().ok_or_else(|| format!("status names no number {name}"));
    Ok((number("calls")?, number("cancelled")?))
}

fn params(tool: &str, args: &Map<String, Value>) -> CallToolRequestParams {
    CallToolRequestParams::new(tool.to_owned()).with_arguments(args.clone())
}

fn short(text: &str) -> String {
    match text.char_indices().nth(2_000) {
        Some((end, _)) => format!("{} ... [{} more]", &text[..end], text.len() - end),
        None => text.to_owned(),
    }
}

/// Prints what rmcp warns of, and what it says in a lower voice when it cannot read a message.
struct Trouble;

impl log::Log for Trouble {
    fn enabled(&self, of: &log::Metadata<'_>) -> bool {
        of.level() <= log::Level::Debug && ["rmcp", "interop_rmcp"].iter().any(|name| of.target().starts_with(name))
    }

    fn log(&self, record: &log::Record<'_>) {
        const UNREAD: [&str; 4] =
            ["Ignoring unparsable", "Protocol error on", "Failed to parse", "failed to deserialize"];
        // An event with an id and empty data, from which a client may go on; it carries no message.
        const PRIMING: &str = "failed to deserialize server message: EOF while parsing a value at line 1 column 0";
        let text = record.args().to_string();
        let unread = UNREAD.iter().any(|words| text.contains(words)) && !text.starts_with(PRIMING);
        let trouble = record.level() <= log::Level::Warn || unread;
        if self.enabled(record.metadata()) && trouble {
            let when = if CLOSING.load(Ordering::Relaxed) { "while closing" } else { "transport error" };
            println!("{when}: {}", short(&text.replace('\n', " ")));
        }
    }

    fn flush(&self) {}
}
