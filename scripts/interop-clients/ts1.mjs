// TypeScript SDK 1.x client over WebSocket, Streamable HTTP or stdio.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { drive, elicited, fail, parse, rooted, sampled, told } from './common.mjs';

const a = { ...parse('ts1', 'TypeScript SDK 1.x; ws://, http:// or stdio'), v1: true, anyResult: types.ResultSchema };
const transport = !a.url
  ? new StdioClientTransport({ command: a.target[0], args: a.target.slice(1), stderr: 'inherit' })
  : a.url.protocol.startsWith('ws')
    ? new WebSocketClientTransport(a.url)
    : new (await import('@modelcontextprotocol/sdk/client/streamableHttp.js')).StreamableHTTPClientTransport(a.url); // from 1.10 on
const client = new Client({ name: 'interop-ts1', version: '1' }, {
  capabilities: { sampling: {}, roots: {}, ...(types.ElicitRequestSchema && { elicitation: {} }) },
});
client.setRequestHandler(types.CreateMessageRequestSchema, sampled);
if (types.ElicitRequestSchema) client.setRequestHandler(types.ElicitRequestSchema, (r) => elicited(r.params)); // from 1.13 on
client.setRequestHandler(types.ListRootsRequestSchema, rooted);
// What was negotiated shows in the answer to initialize; older SDKs tell it nowhere else.
let negotiated;
const request = client.request.bind(client);
client.request = async (message, ...more) => {
  const result = await request(message, ...more);
  if (message.method === 'initialize') negotiated = result.protocolVersion;
  return result;
};
try {
  await drive(a, client, () => client.connect(transport), () => negotiated);
  process.exit(0);
} catch (error) {
  fail(told(error));
}
