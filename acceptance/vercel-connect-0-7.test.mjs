// npm @vercel/connect 0.7.0, of June, unmodified, through the module that we ship. Its installations are tried in
// vercel-install.test.mjs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { signInHere } from '../clients/connect-redirect.mjs';
import { Auth } from '@auth/core';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { genericOAuth } from 'better-auth/plugins';
import * as connect from 'vercel-connect-0.7.0';
import { connect as authjsConnect } from 'vercel-connect-0.7.0/authjs';
import { connect as betterAuthConnect } from 'vercel-connect-0.7.0/betterauth';
import { connectDiscordAdapter, connectSlackAdapter } from 'vercel-connect-0.7.0/chat';
import { connect as eveConnect } from 'vercel-connect-0.7.0/eve';
import { connectAuthProvider, ConsentRequiredError } from 'vercel-connect-0.7.0/mcp';
import { app } from './lib/app.mjs';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer } from './lib/mcp.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'oidc/acme';
let server, peer, mcp, workload;
const links = [{ project: PROJECT, environments: ['production'] }];
before(async () => {
  server = await Grantry.start();
  [peer, mcp] = await Promise.all([Peer.start('oidc-provider', { callbacks: [server.callback] }), mcpServer({})]);
  const document = world({
    connectors: [
      {
        id: 'scl_acme', uid: CONNECTOR, team: TEAM, name: 'Acme', type: 'oauth', links,
        data: {
          clientId: CLIENTS.conf.id, clientSecret: CLIENTS.conf.secret, serverUrl: peer.url,
          userAuthorization: { enabled: true, scopes: ['openid', 'offline_access'] }, authorizationUrlParams: { prompt: 'consent' },
        },
      },
      { id: 'scl_mcp', uid: 'mcp/tools', team: TEAM, name: 'Tools', type: 'oauth', links, data: { serverUrl: mcp.url } },
      { id: 'scl_key', uid: 'key/one', team: TEAM, name: 'Key', type: 'api-key', links, data: { values: [{ value: 'k-june' }] } },
      { id: 'scl_discord', uid: 'discord/bot', team: TEAM, name: 'Bot', type: 'discord', links, data: { applicationId: '17', botToken: 'b' } },
      {
        id: 'scl_slack', uid: 'slack/bot', team: TEAM, name: 'Bot', type: 'slack', links,
        data: { appId: 'A1', appName: 'Bot', clientId: 'c', clientSecret: 's' },
      },
    ],
  });
  document.projects[0].provisions = true;
  await server.apply(document);
  process.env.GRANTRY_URL = server.url;
  workload = { vercelToken: await server.workloadToken(PROJECT, 'production') };
});
after(() => Promise.all([server, peer, mcp].map((one) => one?.stop())));

const user = (id) => ({ subject: { type: 'user', id } });

describe('a token', () => {
  it('of a user comes after their consent, from the package’s memory, and ends', async () => {
    await assert.rejects(connect.getToken(CONNECTOR, user('june'), workload), (error) => {
      assert.ok(error instanceof connect.UserAuthorizationRequiredError && !(error instanceof connect.NoValidTokenError));
      assert.deepEqual([error.status, error.code], [422, 'user_authorization_required']);
      return true;
    });
    const started = await connect.startAuthorization(CONNECTOR, user('june'), { ...workload, callbackUrl: RETURN_URL, expiresInMs: 60_000 });
    assert.ok(started.url.startsWith(`${server.url}/authorize/sca_`) && started.verifier && started.expiresAt <= Date.now() + 60_000);
    assert.deepEqual([started.connector.uid, started.connector.name, started.deviceCode], [CONNECTOR, 'Acme', undefined]);
    await new Visitor().connect(started.url, RETURN_URL);

    const token = await connect.getToken(CONNECTOR, user('june'), workload);
    assert.equal(await peer.honours(token), true);
    const whole = await connect.getTokenResponse(CONNECTOR, user('june'), { ...workload, forceRefresh: true });
    assert.deepEqual([whole.token, whole.connector.uid, whole.connector.type], [token, CONNECTOR, 'oauth']);
    assert.match(whole.tokenId, /^stk_/);
    // It sends no scopes; the package of today sends `*`. Both are one token.
    const today = await server.token(CONNECTOR, { key: workload.vercelToken, ...user('june') });
    assert.equal(today.body.token, token);

    await connect.revokeToken(CONNECTOR, user('june'), workload);
    assert.equal(await peer.honours(token), false);
    await assert.rejects(connect.getToken(CONNECTOR, user('june'), workload), connect.UserAuthorizationRequiredError);
  });

  it('of the application', async () => {
    assert.equal(await connect.getToken('key/one', { subject: { type: 'app' } }, workload), 'k-june');
    const discord = connectDiscordAdapter('discord/bot', {}, workload);
    assert.deepEqual([await discord.applicationId(), await discord.botToken()], ['17', 'b']);
    await assert.rejects(connectSlackAdapter('slack/bot', {}, workload).botToken(), connect.ConnectorInstallationRequiredError);
  });

  it('is refused in words', async () => {
    for (const [connector, options, status, words] of [
      ['oauth/none', workload, 404, /./],
      [CONNECTOR, { vercelToken: await server.workloadToken(PROJECT, 'preview') }, 403, /not enabled for this environment/],
      [CONNECTOR, { vercelToken: 'a.b.c' }, 401, /./],
    ])
      await assert.rejects(connect.getToken(connector, user('x'), options), (error) => {
        assert.ok(error instanceof connect.ConnectError);
        assert.equal(error.status, status);
        assert.match(error.message, words);
        return true;
      });
    await assert.rejects(connect.startAuthorization('key/one', user('x'), workload), /Failed to start authorization: 4\d\d/);
  });
});

it('metadata is that of the connector, with its public data', async () => {
  const metadata = await connect.getConnectorMetadata(CONNECTOR, workload);
  assert.deepEqual([metadata.id, metadata.uid, metadata.type, metadata.name], ['scl_acme', CONNECTOR, 'oauth', 'Acme']);
  assert.equal((metadata.vendor ?? metadata.data).clientId, CLIENTS.conf.id);
  assert.ok(!JSON.stringify(metadata).includes(CLIENTS.conf.secret));
});

describe('autoProvision, which this package does before it asks', () => {
  const agent = (connector, id = 'u1') => ({
    auth: eveConnect({ connector, connectOptions: workload }),
    context: { connection: { url: mcp.url }, principal: { type: 'user', id } },
  });

  it('comes from nothing to a token that the MCP server takes', async () => {
    const { auth, context } = agent('mcp/june');
    await assert.rejects(auth.getToken(context), ({ name }) => name === 'ConnectionAuthorizationRequiredError');
    const { challenge } = await auth.startAuthorization({ ...context, callbackUrl: RETURN_URL });
    assert.ok(challenge.userCode);
    await new Visitor().connect(challenge.url, RETURN_URL);
    const { token } = await auth.completeAuthorization(context);
    assert.equal(await whoamiWith({ tokens: async () => ({ access_token: token, token_type: 'bearer' }) }), await clientOf('mcp/june'));
    await auth.evict({ ...context, revoke: true });
    await assert.rejects(auth.getToken(context), ({ name }) => name === 'ConnectionAuthorizationRequiredError');
  });

  it('lets what is no OAuth connector pass', async () => {
    const { auth, context } = agent('key/one');
    // That it is a connector of users is another matter.
    await assert.rejects(auth.getToken(context), ({ status, code }) => status === 422 && code === 'unresolved_token');
  });
});

async function clientOf(uid) {
  const { body } = await server.call('GET', `/v1/connect/connectors/${encodeURIComponent(uid)}`, { key: KEYS.admin });
  return body.data.clientId;
}

/** Calls the MCP server's tool through its SDK, which asks `authProvider` for tokens. */
async function whoamiWith(authProvider) {
  const client = new Client({ name: 'acceptance', version: '1.0.0' });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(mcp.url), { authProvider }));
    return (await client.callTool({ name: 'whoami' })).content[0].text;
  } finally {
    await client.close();
  }
}

describe('the provider for MCP clients', () => {
  const provider = (more) => connectAuthProvider('mcp/tools', user('mcp'), { ...workload, redirectUrl: RETURN_URL, ...more });

  it('sends a person to consent, and then lets a client of the SDK in', async () => {
    assert.equal(await provider().tokens(), undefined);
    const asked = await provider({ deviceCode: true }).redirectToAuthorization(new URL('https://ignored.example')).catch((error) => error);
    assert.ok(asked instanceof ConsentRequiredError, `${asked}`);
    assert.deepEqual([asked.connector, asked.subject.id, new URL(asked.url).origin], ['mcp/tools', 'mcp', server.url]);
    assert.match(asked.deviceCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    const challenges = [];
    await provider({ onConsentRequired: (challenge) => challenges.push(challenge) }).redirectToAuthorization(new URL('https://ignored.example'));
    assert.equal(challenges.length, 1);

    await new Visitor().connect(asked.url, RETURN_URL);
    const tokens = await provider().tokens();
    assert.equal(tokens.token_type, 'Bearer');
    assert.ok(tokens.expires_in > 0 && tokens.expires_in <= 60, `${tokens.expires_in}`);
    assert.equal(await whoamiWith(provider()), await clientOf('mcp/tools'));
  });
});

describe('signing in', () => {
  const helper = () => ({ connector: CONNECTOR, getVercelOidcToken: async () => workload.vercelToken });
  const declare = async (uri) => {
    const { status, text } = await server.call('PATCH', `/api/v1/projects/${PROJECT}`, { key: KEYS.admin, body: { sign_in_uris: [uri] } });
    assert.equal(status, 200, text);
  };

  it('with Better Auth', async () => {
    let auth;
    const site = await app((request) => auth.handler(request));
    try {
      auth = betterAuth({
        baseURL: site.url,
        secret: randomBytes(32).toString('hex'),
        database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
        telemetry: { enabled: false },
        plugins: [genericOAuth({ config: [signInHere(betterAuthConnect({ ...helper(), providerId: 'acme' }))] })],
      });
      await declare(`${site.url}/api/auth/callback/acme`);
      const visitor = new Visitor();
      const started = await fetch(`${site.url}/api/auth/sign-in/social`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin: site.url },
        body: JSON.stringify({ provider: 'acme', callbackURL: `${site.url}/done` }),
      });
      const { url } = await started.json();
      visitor.takes(site.url, started);
      const { arrived } = await visitor.open(url, { stopAt: `${site.url}/done` });
      assert.equal(arrived.search, '');
      const { page } = await visitor.open(`${site.url}/api/auth/get-session`);
      const { user } = JSON.parse(page.html);
      assert.deepEqual([user.email, user.name], ['alice@peer.example', 'Alice of the peer']);
    } finally {
      site.stop();
    }
  });

  it('with Auth.js', async () => {
    const config = {
      providers: [signInHere(authjsConnect({ ...helper(), id: 'acme', name: 'Acme' }))],
      secret: randomBytes(32).toString('hex'),
      basePath: '/auth',
      trustHost: true,
    };
    const site = await app((request) => Auth(request, config));
    try {
      await declare(`${site.url}/auth/callback/acme`);
      const visitor = new Visitor();
      const { page } = await visitor.open(`${site.url}/auth/csrf`);
      const body = new URLSearchParams({ csrfToken: JSON.parse(page.html).csrfToken, callbackUrl: `${site.url}/done` });
      const { arrived } = await visitor.open(`${site.url}/auth/signin/acme`, { method: 'POST', body, stopAt: `${site.url}/done` });
      assert.ok(arrived);
      const session = await visitor.open(`${site.url}/auth/session`);
      assert.deepEqual(JSON.parse(session.page.html).user, { email: 'alice@peer.example', name: 'Alice of the peer' });
    } finally {
      site.stop();
    }
  });
});
