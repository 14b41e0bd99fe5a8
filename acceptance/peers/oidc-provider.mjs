// The strict peer: npm oidc-provider. PKCE S256 is required, the answer carries `iss` (RFC 9207),
// refresh tokens rotate, and a second use of one ends its whole grant.
//
// There is no page: every visitor is logged in and consents. Environment:
//   CALLBACKS  comma-separated redirect URIs
//   AT_TTL     life of an access token in seconds (default 60)
//   USER_ID    who is logged in (default alice)
//   DENY       when set, the user says no
// Prints `ready URL` once it listens, on a port of the system's choice.
import http from 'node:http';
import { once } from 'node:events';
import { Provider } from 'oidc-provider';

const { CALLBACKS = '', AT_TTL = '60', USER_ID = 'alice', DENY } = process.env;
const accessTokenTtl = Number(AT_TTL);

const server = http.createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const client = (id, secret, method, ...grants) => ({
  client_id: id,
  client_secret: secret,
  redirect_uris: CALLBACKS.split(','),
  grant_types: ['authorization_code', 'refresh_token', ...grants],
  response_types: ['code'],
  token_endpoint_auth_method: method,
});

const provider = new Provider(issuer, {
  clients: [
    client('conf', 'conf-secret', 'client_secret_basic', 'client_credentials'),
    client('confpost', 'confpost-secret', 'client_secret_post'),
    client('pub', undefined, 'none'),
    // Every character that RFC 6749 §2.3.1 form-encodes before Basic.
    client('we:ird id', 's%c+r/e t&=:', 'client_secret_basic', 'client_credentials'),
  ],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    introspection: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, _client, oneOf) => oneOf ?? `${issuer}/default-api`,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, audience) => ({
        scope: 'api:read api:write',
        audience,
        accessTokenFormat: 'opaque',
        accessTokenTTL: accessTokenTtl,
      }),
    },
  },
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  ttl: {
    AccessToken: accessTokenTtl,
    AuthorizationCode: 60,
    ClientCredentials: accessTokenTtl,
    Grant: 86400,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 3600,
  },
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['peer'] },
  renderError: (ctx, out) => {
    ctx.type = 'json';
    ctx.body = out;
  },
});

// What the tests ask for: successful grants by type, refusals by error, grants ended, tokens revoked.
const stats = { granted: {}, refused: {}, grantsRevoked: 0, revocations: 0 };
const count = (table, key) => (table[key] = (table[key] ?? 0) + 1);
provider.on('grant.success', (ctx) => count(stats.granted, ctx.oidc.params.grant_type));
provider.on('grant.error', (ctx, error) => {
  count(stats.refused, error.error);
  console.log('refused', error.error, error.error_detail ?? error.error_description);
});
provider.on('grant.revoked', () => stats.grantsRevoked++);

/** Logs the visitor in, then answers for them. */
async function interact(req, res) {
  const details = await provider.interactionDetails(req, res);
  const finish = (result) =>
    provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
  if (details.prompt.name === 'login') return finish({ login: { accountId: USER_ID } });
  if (DENY) return finish({ error: 'access_denied', error_description: 'the user said no' });

  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({
        accountId: details.session.accountId,
        clientId: details.params.client_id,
      });
  const { missingOIDCScope = [], missingResourceScopes = {} } = details.prompt.details;
  grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes))
    grant.addResourceScope(resource, scopes.join(' '));
  return finish({ consent: { grantId: await grant.save() } });
}

const oauth = provider.callback();
server.on('request', async (req, res) => {
  try {
    if (req.url === '/_stats')
      return res.setHeader('content-type', 'application/json').end(JSON.stringify(stats));
    if (req.url.startsWith('/interaction/')) return await interact(req, res);
    if (req.url.startsWith('/token/revocation')) stats.revocations++;
    return await oauth(req, res);
  } catch (error) {
    console.error(error);
    res.writeHead(500).end();
  }
});
console.log(`ready ${issuer}`);
