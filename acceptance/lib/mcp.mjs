// Model Context Protocol servers of the SDK's own making, and a client that calls one.
import path from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Child } from './process.mjs';

/** Starts an MCP server (peers/mcp.mjs); gives its URL and its issuer. */
export async function mcpServer(env) {
  const child = new Child(process.execPath, [path.join(import.meta.dirname, '../peers/mcp.mjs')], { env });
  const [, url, issuer] = await child.until(() => child.output.match(/^ready (\S+) (\S+)$/m), 60);
  return { child, url, issuer, stop: () => child.stop() };
}

/** Calls the server's tool with `token`, as an MCP client does. */
export async function whoami(url, token) {
  const client = new Client({ name: 'acceptance', version: '1.0.0' });
  const headers = { authorization: `Bearer ${token}` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  try {
    await client.connect(transport);
    const { content } = await client.callTool({ name: 'whoami' });
    return content[0].text;
  } finally {
    await client.close();
  }
}
