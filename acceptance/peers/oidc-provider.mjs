// The strict peer: npm oidc-provider. PKCE S256 is required, the answer carries `iss` (RFC 9207),
// refresh tokens rotate, and a second use of one ends its whole grant.
//
// There is no page: every visitor is logged in and consents. Environment:
//   CALLBACKS  comma-separated redirect URIs
//   AT_TTL     life of an access token in seconds (default 60)
//   USER_ID    who is logged in (default alice)
//   DENY       when set, the user says no
//   SUBJECT_KEY  the public key (JWK) under which JWTs of https://passport.example are exchanged (RFC 8693)
//   PAR        when set, no authorization request is taken that was not pushed
// `/_stats` counts what happened, `/_client/ID` shows a registered client, `/_forget/ID` loses one.
// Prints `ready URL` once it listens, on a port of the system's choice.
import http from 'node:http';
import { once } from 'node:events';
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify } from 'jose';
import { Provider } from 'oidc-provider';

const { CALLBACKS = '', AT_TTL = '60', USER_ID = 'alice', DENY, PAR, SUBJECT_KEY } = process.env;
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
    { ...client('conf', 'conf-secret', 'client_secret_basic', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'), authorization_details_types: ['account'] },
    client('confpost', 'confpost-secret', 'client_secret_post'),
    client('pub', undefined, 'none'),
    // Every character that RFC 6749 §2.3.1 form-encodes before Basic.
    client('we:ird id', 's%c+r/e t&=:', 'client_secret_basic', 'client_credentials'),
  ],
  // Keys and documents of clients are fetched from loopback here, which is refused otherwise.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    clientCredentials: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: Boolean(PAR) },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02', cacheDuration: { min: 1, max: 60 } },
    richAuthorizationRequests: {
      enabled: true,
      types: { account: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx) => JSON.parse(ctx.oidc.params.authorization_details),
      authorizationDetailsForAccessToken: (ctx, _token, source) => {
        const { authorization_details: asked } = ctx.oidc.params;
        stats.detailed += asked !== undefined;
        return source?.rar ?? JSON.parse(asked);
      },
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
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
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'email', 'email_verified', 'name', 'groups', 'org'] },
  findAccount: async (_ctx, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      email: `${id}@peer.example`,
      email_verified: true,
      name: `${id[0].toUpperCase()}${id.slice(1)} of the peer`,
      groups: ['staff'],
      org: 'org_acme',
    }),
  }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['peer'] },
  renderError: (ctx, out) => {
    ctx.type = 'json';
    ctx.body = out;
  },
});

// What the tests ask for: successful grants by type, refusals by error, grants ended, tokens revoked.
const stats = {
  granted: {},
  refused: {},
  grantsRevoked: 0,
  revocations: 0,
  registered: 0,
  updated: 0,
  unregistered: 0,
  pushed: 0,
  detailed: 0,
  asserted: [],
};
const count = (table, key) => (table[key] = (table[key] ?? 0) + 1);
provider.on('grant.success', (ctx) => count(stats.granted, ctx.oidc.params.grant_type));
provider.on('grant.error', (ctx, error) => {
  count(stats.refused, error.error);
  console.log('refused', error.error, error.error_detail ?? error.error_description);
});
provider.on('grant.revoked', () => stats.grantsRevoked++);
provider.on('registration_create.success', () => stats.registered++);
provider.on('registration_update.success', () => stats.updated++);
provider.on('registration_delete.success', () => stats.unregistered++);

provider.on('server_error', (_ctx, error) => console.error(error));
provider.on('pushed_authorization_request.success', () => stats.pushed++);
provider.on('pushed_authorization_request.error', (_ctx, error) => console.log('refused', error.error, error.error_detail ?? error.error_description));

/** A token for whom an assertion (RFC 7523 §2.1) or a JWT of somebody else's (RFC 8693) names, as jose verifies it. */
async function byJwt(ctx, jwt, keys, signer) {
  const { client, params } = ctx.oidc;
  const verified = await jwtVerify(jwt, keys, {
    issuer: signer,
    audience: `${issuer}/token`,
    maxTokenAge: '6m',
    requiredClaims: ['exp', 'iat', 'jti', 'sub'],
  }).catch((error) => {
    ctx.status = 400;
    ctx.body = { error: 'invalid_grant', error_description: error.message };
  });
  if (!verified) return;
  const { payload } = verified;
  const replayed = stats.asserted.some(({ jti }) => jti === payload.jti);
  if (replayed || payload.exp - payload.iat > 360) throw new Error('replayed or long-lived');
  stats.asserted.push(payload);
  const grant = new provider.Grant({ accountId: payload.sub, clientId: client.clientId });
  grant.addOIDCScope(params.scope ?? '');
  const token = new provider.AccessToken({ client, accountId: payload.sub, grantId: await grant.save(), scope: params.scope, gty: params.grant_type });
  ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope: params.scope };
}
const parameters = ['scope', 'audience', 'resource'];
provider.registerGrantType(
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
  (ctx) => {
    const { client, params } = ctx.oidc;
    return byJwt(ctx, params.assertion, createRemoteJWKSet(new URL(client.jwksUri)), client.clientId);
  },
  ['assertion', ...parameters],
  ['resource'],
);
provider.registerGrantType(
  'urn:ietf:params:oauth:grant-type:token-exchange',
  (ctx) => byJwt(ctx, ctx.oidc.params.subject_token, createLocalJWKSet({ keys: [JSON.parse(SUBJECT_KEY)] }), 'https://passport.example'),
  ['subject_token', 'subject_token_type', ...parameters],
  ['resource'],
);

/** Loses a client, as a provider does whose database was restored. */
const forget = (id) => provider.Client.adapter.destroy(id);

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
    if (req.url.startsWith('/_forget/'))
      return await forget(decodeURIComponent(req.url.slice('/_forget/'.length))).then(() => res.end());
    if (req.url.startsWith('/_client/')) {
      const client = await provider.Client.find(decodeURIComponent(req.url.slice('/_client/'.length)));
      return res.setHeader('content-type', 'application/json').end(JSON.stringify(client?.metadata() ?? null));
    }
    if (req.url.startsWith('/interaction/')) return await interact(req, res);
    if (req.url.startsWith('/token/revocation')) stats.revocations++;
    return await oauth(req, res);
  } catch (error) {
    console.error(error);
    res.writeHead(500).end();
  }
});
console.log(`ready ${issuer}`);
