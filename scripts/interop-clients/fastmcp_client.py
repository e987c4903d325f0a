"""FastMCP's client over Streamable HTTP or stdio."""

import anyio
from common import brief, calls, cancelled, done, elicited, parse, plain, run, show_call, show_list
from fastmcp import Client
from fastmcp.client.messages import MessageHandler
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


async def sampling(messages, params, context):
    return "sampled"


async def elicitation(message, response_type, params, context):
    return elicited(plain(params).get("requestedSchema", {}))


class Notified(MessageHandler):
    async def on_exception(self, message):
        print(f"transport error: {type(message).__name__}: {brief(message)}")

    async def on_notification(self, message):
        print(f"notification: {plain(message)}")


async def progress(done, total, message):
    print(f"progress: {done}/{total} {message or ''}")


async def main(a):
    # Its server is not to be kept for a later connection.
    transport = StreamableHttpTransport(a.url) if a.url else StdioTransport(a.target[0], a.target[1:], keep_alive=False)
    with anyio.fail_after(a.timeout):
        async with Client(transport, mode=a.revision, sampling_handler=sampling, elicitation_handler=elicitation,
                          roots=["file:///tmp"], message_handler=Notified()) as client:
            info, has = client.server_info, client.server_capabilities
            who = f"{info.name} {info.version}" if info else "a server that names itself nowhere"
            print(f"connected: {who}, protocol {client.protocol_version}")
            # A pinned revision skips discovery, so nothing is known about capabilities: ask for all.
            pinned = a.revision not in ("auto", "legacy")
            tools = []
            if has.tools or pinned:
                tools = show_list("tools", await client.list_tools(), "name")
            if has.resources or pinned:
                show_list("resources", await client.list_resources(), "uri")
                show_list("resource templates", await client.list_resource_templates(), "uriTemplate")
            if has.prompts or pinned:
                show_list("prompts", await client.list_prompts(), "name")
            if a.resource:
                print(f"read {a.resource}: {[plain(content) for content in await client.read_resource(a.resource)]}")
            if a.prompt:
                print(f"prompt {a.prompt}: {plain(await client.get_prompt(a.prompt, a.prompt_args))}")
            if a.idle:
                await anyio.sleep(a.idle)
            for call in calls(a, tools):
                show_call(call, await client.call_tool_mcp(call.tool, call.args, progress_handler=progress))
            if a.cancel:
                await cancelled(client.call_tool_mcp)
            done()


a = parse("fastmcp", "FastMCP; http:// or stdio", ("auto", "legacy", "2026-07-28"))
run(main, a)
