// A Model Context Protocol server of the SDK's own making, behind an authorization server. It takes tokens that are
// meant for it alone. Environment:
//   ISSUER  the authorization server: that of an oidc-provider peer; the SDK's own when absent
//   AT_TTL  life of the SDK server's access tokens in seconds (default 60)
//   HIDE    when set, nothing stands at the well-known places: only the challenge says where the metadata is
// Prints `ready URL` once it listens: the URL of the MCP server. `/_stats` counts what the SDK's server did.
import { once } from 'node:events';
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import express from 'express';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { InvalidGrantError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';

const { ISSUER, AT_TTL = '60', HIDE } = process.env;
const lifetime = Number(AT_TTL);

const listen = async (app) => {
  const server = http.createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new URL(`http://127.0.0.1:${server.address().port}`);
};

/** The SDK's authorization server over a provider that rotates refresh tokens; what it gives out is bound to a resource. */
async function sdkServer() {
  const [clients, codes, access, refresh] = [new Map(), new Map(), new Map(), new Map()];
  const stats = { registered: 0, refreshed: 0, resources: [] };
  const issue = (client, scopes, resource) => {
    const [token, next] = [randomUUID(), randomUUID()];
    const expiresAt = Math.floor(Date.now() / 1000) + lifetime;
    access.set(token, { token, clientId: client.client_id, scopes, expiresAt, resource });
    refresh.set(next, { client: client.client_id, scopes, resource });
    return { access_token: token, token_type: 'bearer', expires_in: lifetime, scope: scopes.join(' '), refresh_token: next };
  };
  const provider = {
    clientsStore: {
      getClient: async (id) => clients.get(id),
      registerClient: async (client) => {
        stats.registered++;
        clients.set(client.client_id, client);
        return client;
      },
    },
    async authorize(client, params, res) {
      const code = randomUUID();
      codes.set(code, { client: client.client_id, params });
      const back = new URL(params.redirectUri);
      back.searchParams.set('code', code);
      if (params.state !== undefined) back.searchParams.set('state', params.state);
      res.redirect(back.href);
    },
    async challengeForAuthorizationCode(_client, code) {
      if (!codes.has(code)) throw new InvalidGrantError('no such code');
      return codes.get(code).params.codeChallenge;
    },
    async exchangeAuthorizationCode(client, code, _verifier, redirectUri, resource) {
      const found = codes.get(code);
      codes.delete(code);
      if (found?.client !== client.client_id) throw new InvalidGrantError('no such code');
      if (redirectUri !== found.params.redirectUri) throw new InvalidGrantError('redirect_uri');
      if (resource?.href !== found.params.resource?.href) throw new InvalidGrantError('resource');
      stats.resources.push(resource?.href ?? null);
      return issue(client, found.params.scopes ?? [], resource?.href);
    },
    async exchangeRefreshToken(client, token, scopes, resource) {
      const found = refresh.get(token);
      refresh.delete(token);
      if (found?.client !== client.client_id) throw new InvalidGrantError('no such refresh token');
      stats.refreshed++;
      stats.resources.push(resource?.href ?? null);
      return issue(client, scopes ?? found.scopes, resource?.href);
    },
    async verifyAccessToken(token) {
      const found = access.get(token);
      if (!found || found.expiresAt < Date.now() / 1000) throw new InvalidTokenError('no such token');
      return { ...found, resource: found.resource && new URL(found.resource) };
    },
    async revokeToken(_client, { token }) {
      access.delete(token);
      refresh.delete(token);
    },
  };
  const late = express();
  const url = await listen(late);
  const unlimited = { rateLimit: false };
  late.get('/_stats', (_req, res) => res.json(stats));
  late.use(
    mcpAuthRouter({
      provider,
      issuerUrl: url,
      scopesSupported: ['mcp:tools'],
      authorizationOptions: unlimited,
      clientRegistrationOptions: unlimited,
      tokenOptions: unlimited,
      revocationOptions: unlimited,
    }),
  );
  return { issuer: url.href, scopes: ['mcp:tools'], verifyAccessToken: provider.verifyAccessToken };
}

/** Tokens of an oidc-provider peer, by introspection. */
function introspecting(issuer) {
  const basic = Buffer.from('conf:conf-secret').toString('base64');
  return {
    issuer,
    scopes: ['api:read'],
    async verifyAccessToken(token) {
      const answer = await fetch(`${issuer}/token/introspection`, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}` },
        body: new URLSearchParams({ token }),
      });
      const { active, client_id: clientId, scope = '', exp: expiresAt, aud } = await answer.json();
      if (!active) throw new InvalidTokenError('no such token');
      return { token, clientId, scopes: scope.split(' '), expiresAt, resource: aud && new URL(aud) };
    },
  };
}

const server = ISSUER ? introspecting(ISSUER) : await sdkServer();
const app = express();
const origin = await listen(app);
const resource = new URL('/mcp', origin);
const metadata = { resource: resource.href, authorization_servers: [server.issuer], scopes_supported: server.scopes };
const place = HIDE ? '/elsewhere' : new URL(getOAuthProtectedResourceMetadataUrl(resource)).pathname;
app.get(place, (_req, res) => res.json(metadata));

const verifier = {
  async verifyAccessToken(token) {
    const info = await server.verifyAccessToken(token);
    if (info.resource?.href !== resource.href) throw new InvalidTokenError('the token is for another resource');
    return info;
  },
};
const bearer = requireBearerAuth({ verifier, resourceMetadataUrl: new URL(place, origin).href });
app.all('/mcp', bearer, express.json(), async (req, res) => {
  const mcp = new McpServer({ name: 'peer', version: '1.0.0' });
  mcp.registerTool('whoami', { description: 'Says which client calls.' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: authInfo.clientId }],
  }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  res.on('close', () => transport.close());
  await mcp.connect(transport);
  await transport.handleRequest(req, res, req.body);
});
console.log(`ready ${resource.href} ${server.issuer}`);
