// Connector types against vercel-labs' emulators of their third parties.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import * as client from '@vercel/connect';
import { Emulator, GITHUB_KEY, connect } from './lib/emulate.mjs';
import { GithubPage } from './lib/github-page.mjs';
import { Grantry } from './lib/grantry.mjs';
import { SlackApi } from './lib/slack-api.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

let server, workload;
before(async () => {
  server = await Grantry.start();
  await server.apply(world());
  process.env.GRANTRY_URL = server.url;
  workload = { vercelToken: await server.workloadToken(PROJECT, 'production') };
});
after(() => server?.stop());

const call = (method, route, body, key = KEYS.admin) => server.call(method, route, { key, body });
const ok = (answer) => {
  assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text}`);
  return answer.body;
};

/** A connector that the project may use, and its id. */
async function made(type, data, more = {}) {
  const { id } = ok(await call('POST', '/api/v1/connectors', { type, name: `My ${type}`, data, ...more }));
  ok(await call('PUT', `/api/v1/connectors/${id}/projects/${PROJECT}`, { environments: ['production'] }));
  return id;
}

/** A workload's question for a token, in the Vercel dialect. */
const token = (connector, body) => call('POST', `/v1/connect/token/${connector}`, body, KEYS.workload);

/** Who is called `name` on an emulator's page of users. */
const is = (name) => ({ fields }) => fields.some(([, value]) => value === name);

/** A whole consent of a user, by the workload; who signs in is the first of the page unless told. */
async function consent(connector, body, who) {
  const asked = ok(await call('POST', `/v1/connect/authorize/${connector}`, { returnUrl: RETURN_URL, ...body }, KEYS.workload));
  return connect(new Visitor(), asked.url, RETURN_URL, who);
}

/** What the package gets, past its own cache. */
const served = (connector, params) => client.getTokenResponse(connector, params, { ...workload, forceRefresh: true });

const app = { type: 'app' };
const user = (id) => ({ type: 'user', id });

/** A whole sign-in through `connector` of who is called `name` on the emulator's page of users: the application's tokens. */
async function signIn(connector, redirect_uri, name) {
  ok(await call('PATCH', `/api/v1/projects/${PROJECT}`, { sign_in_uris: [redirect_uri] }));
  const code_verifier = randomBytes(32).toString('base64url');
  const asked = {
    response_type: 'code',
    client_id: connector,
    redirect_uri,
    state: 's1',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
    code_challenge_method: 'S256',
    scope: 'openid profile email',
  };
  const visitor = new Visitor();
  const { page } = await visitor.open(`${server.url}/oauth/authorize?${new URLSearchParams(asked)}`, { stopAt: redirect_uri });
  const { action, fields } = page.forms.find(is(name));
  const { arrived, page: stopped } = await visitor.open(action, { stopAt: redirect_uri, method: 'POST', body: new URLSearchParams(fields) });
  assert.ok(arrived, stopped && `stopped at ${stopped.url} (${stopped.status}): ${stopped.text.slice(0, 300)}`);
  const { code, error } = Object.fromEntries(arrived.searchParams);
  assert.equal(error, undefined);
  const form = { grant_type: 'authorization_code', code, redirect_uri, code_verifier, client_id: connector, client_secret: KEYS.workload };
  const redeemed = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  const tokens = await redeemed.json();
  assert.equal(redeemed.status, 200, JSON.stringify(tokens));
  return tokens;
}

describe('signing in with GitHub', () => {
  let github, id;
  before(async () => {
    github = await Emulator.start('github', server.callback);
    const at = (path) => github.url + path;
    id = await made('oauth', {
      clientId: 'Iv1.abc123',
      clientSecret: 'gh-secret',
      userAuthorization: { enabled: true, scopes: ['read:user', 'user:email'] },
      serverConfig: {
        authorization_endpoint: at('/login/oauth/authorize'),
        token_endpoint: at('/login/oauth/access_token'),
        userinfo_endpoint: at('/user'),
        user_emails_endpoint: at('/user/emails'),
      },
    }, { service: 'github' });
  });
  after(() => github?.stop());

  it('makes whoever signs in known by what GitHub calls them', async () => {
    const tokens = await signIn(id, 'http://localhost:9999/github', 'octocat');
    const answer = await fetch(`${server.url}/oauth/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const person = await answer.json();
    const served = ok(await token(id, { subject: { type: 'user', id: person.sub, issuer: `${server.url}/oauth` } }));
    const theirs = await (await fetch(`${github.url}/user`, { headers: { authorization: `Bearer ${served.token}` } })).json();
    assert.equal(theirs.login, 'octocat');
    const sub = createHash('sha256').update(`${id}\0${theirs.id}`).digest('base64url');
    assert.deepEqual([person.sub, person.name, person.email], [sub, 'Octo', 'o@example.com']);
    assert.ok(tokens.id_token, 'ours, signed by us');
  });
});

describe('github', () => {
  let github, id;
  const api = (route, bearer, options = {}) =>
    fetch(github.url + route, { ...options, headers: { authorization: `Bearer ${bearer}`, accept: 'application/vnd.github+json' } });
  const issue = (repository, bearer) => api(`/repos/my-org/${repository}/issues`, bearer, { method: 'POST', body: JSON.stringify({ title: 't' }) });
  const detail = (more) => [{ type: 'github_app_installation', ...more }];
  const installed = { subject: app, installationId: '100' };
  const data = () => ({
    appId: 12345,
    appSlug: 'my-github-app',
    appName: 'My GitHub App',
    clientId: 'Iv1.abc123',
    clientSecret: 'gh-secret',
    privateKeyPem: GITHUB_KEY,
    serverConfig: {
      authorization_endpoint: `${github.url}/login/oauth/authorize`,
      token_endpoint: `${github.url}/login/oauth/access_token`,
      api_base_url: github.url,
    },
  });
  before(async () => {
    github = await Emulator.start('github', server.callback);
    id = await made('github', data());
  });
  after(() => github?.stop());

  it('shows the app and what narrows its tokens, and nothing of its secrets', async () => {
    const shown = await call('GET', `/v1/connect/connectors/${id}?teamId=${TEAM}`);
    const connector = ok(shown);
    assert.equal(connector.typeName, 'GitHub');
    assert.equal(connector.clientUrl, `${github.url}/apps/my-github-app`);
    assert.equal(connector.data.appSlug, 'my-github-app');
    assert.deepEqual(connector.supportedSubjectTypes, ['user', 'app']);
    assert.equal(connector.supportsInstallation, true);
    assert.equal(connector.appTokens.supportsRefinement, true);
    assert.equal(connector.appTokens.crossInstallation, false);
    assert.deepEqual(connector.appTokens.supportedAuthorizationDetails, ['github_app_installation']);
    assert.ok(!shown.text.includes('PRIVATE KEY') && !shown.text.includes('gh-secret'));
  });

  it('says where to install the app until one of its installations is known here', async () => {
    for (const body of [{ subject: app }, installed]) {
      const refused = await token(id, body);
      assert.equal(refused.status, 422, refused.text);
      assert.equal(refused.body.error.code, 'client_installation_required');
      assert.ok(refused.body.error.authorizationUrl.startsWith(`${server.url}/install/sci_`));
    }
  });

  it('gives tokens of an installation, with what they may do', async () => {
    ok(await call('POST', `/api/v1/connectors/${id}/installations`, { external_id: '100', name: 'my-org', default: true }));
    const served = ok(await token(id, installed));
    assert.equal((await issue('svc', served.token)).status, 201);
    assert.match(served.token, /^ghs_/);
    assert.deepEqual(served.metadata.permissions, { contents: 'read', issues: 'write', metadata: 'read' });
    assert.equal(served.metadata.repository_selection, 'all');
    assert.equal(served.installationId, '100');
    assert.ok(served.expiresAt > Date.now() + 50 * 60_000);
    assert.equal(ok(await token(id, { subject: app })).token, served.token, 'the default installation');
  });

  it('asks once for many readers of the same narrowing, however it is spelled', async () => {
    const spellings = [
      { permissions: 'contents:read', repositories: 'my-org/svc' },
      { permissions: ['contents:read'], repositories: ['My-Org/SVC'] },
      { org: 'my-org', permissions: ['contents:read'], repositories: ['svc'] },
    ];
    const reads = Array.from({ length: 30 }, (_, at) => token(id, { ...installed, authorizationDetails: detail(spellings[at % 3]) }));
    const served = (await Promise.all(reads)).map(ok);
    assert.equal(new Set(served.map((one) => one.token)).size, 1);
    assert.equal(served[0].metadata.permissions.contents, 'read');
    assert.equal(served[0].metadata.permissions.issues, undefined);
    assert.equal(served[0].metadata.repository_selection, 'selected');
    assert.notEqual(served[0].token, ok(await token(id, installed)).token);
    // The emulator holds tokens to their permissions, as GitHub does.
    assert.equal((await issue('svc', served[0].token)).status, 403);
    const one = ok(await token(id, { ...installed, authorizationDetails: detail({ permissions: 'issues:write', repositories: 'my-org/svc' }) }));
    assert.equal((await issue('svc', one.token)).status, 201);
    assert.equal((await issue('site', one.token)).status, 403);
  });

  it('takes permissions as scopes, and never answers with more than was asked for', async () => {
    const served = ok(await token(id, { ...installed, scopes: ['issues:write'] }));
    assert.deepEqual(Object.keys(served.metadata.permissions).filter((name) => name !== 'metadata'), ['issues']);
    for (const [body, field] of [
      [{ scopes: ['repo'] }, 'scopes'],
      [{ authorizationDetails: [{ type: 'payment' }] }, 'authorizationDetails[0].type'],
      [{ authorizationDetails: detail({ repos: 'my-org/svc' }) }, 'authorizationDetails[0].repos'],
      [{ authorizationDetails: detail({ permissions: 'contents' }) }, 'authorizationDetails[0].permissions'],
      [{ authorizationDetails: detail({ org: 'somebody-else' }) }, 'authorizationDetails[0].org'],
      [{ resources: ['https://api.github.com'] }, 'resources'],
      [{ installationId: '1/../../app' }, 'installationId'],
    ]) {
      const refused = await token(id, { ...installed, ...body });
      assert.equal(refused.status, 400, `${field}: ${refused.text}`);
      assert.ok(refused.body.error.message.includes(field), refused.text);
    }
  });

  it('sends who asks for what was not granted, or is not installed any more, to the installation', async () => {
    ok(await call('POST', `/api/v1/connectors/${id}/installations`, { external_id: '999' }));
    for (const body of [
      { authorizationDetails: detail({ permissions: 'administration:write' }) },
      { authorizationDetails: detail({ permissions: 'issues:admin' }) },
      { installationId: '999' },
    ]) {
      const refused = await token(id, { ...installed, ...body });
      assert.equal(refused.status, 422, refused.text);
      assert.equal(refused.body.error.code, 'client_installation_required');
      assert.ok(refused.body.error.authorizationUrl.endsWith('/apps/my-github-app/installations/new'));
    }
  });

  it('marks what GitHub does not know any more, and compares what is known here with what the app has', async () => {
    const statuses = async () => {
      const { data: rows } = ok(await call('GET', `/api/v1/connectors/${id}/installations`));
      return Object.fromEntries(rows.map((row) => [row.external_id, row.status]));
    };
    assert.deepEqual(await statuses(), { 100: 'active', 999: 'removed' });
    ok(await call('POST', `/api/v1/connectors/${id}/installations`, { external_id: '998' }));
    const synced = ok(await call('POST', `/api/v1/connectors/${id}/installations/sync`));
    assert.deepEqual(synced.data.map((row) => [row.external_id, row.status]), [['998', 'removed']]);
    assert.deepEqual(await statuses(), { 100: 'active', 998: 'removed', 999: 'removed' });
    const refused = await token(id, { subject: app, installationId: '998' });
    assert.equal(refused.body.error.code, 'client_installation_required', refused.text);
    assert.match(ok(await token(id, installed)).token, /^ghs_/);
  });

  it('opens the breaker, and not the installation, when GitHub does not know the app', async () => {
    const other = await made('github', { ...data(), appId: 77 });
    ok(await call('POST', `/api/v1/connectors/${other}/installations`, { external_id: '100' }));
    const refused = await token(other, installed);
    assert.equal(refused.status, 422, refused.text);
    assert.equal(refused.body.error.code, 'unresolved_token');
    assert.equal(ok(await call('GET', `/api/v1/connectors/${other}`)).fault.code, 'invalid_client');
  });

  it('is installed by who has to do with the installation, and by nobody who only knows its number', async () => {
    const app = { callback: server.callback, installation: 100, account: 'my-org', members: ['octocat'] };
    const page = await GithubPage.start(github.url, app);
    try {
      const config = data().serverConfig;
      const moved = Object.fromEntries(Object.entries(config).map(([name, url]) => [name, url.replace(github.url, page.url)]));
      const own = await made('github', { ...data(), serverConfig: moved });
      const start = (more) => client.experimental_startInstallation(own, {}, { ...workload, returnUrl: RETURN_URL, ...more });
      const result = async ({ verifier }) => (await call('GET', `/v1/connect/result/${verifier}`)).body;

      const stolen = await start();
      await connect(new Visitor(), stolen.url, RETURN_URL, is('stranger'));
      const refused = await result(stolen);
      assert.deepEqual([refused.status, refused.error.code], ['error', 'foreign_installation']);
      await assert.rejects(served(own, { subject: { type: 'app' }, installationId: '100' }), client.ConnectorInstallationRequiredError);

      const asked = await start({ tenantId: 'My-Org' });
      page.asksOwner = true;
      const visitor = new Visitor();
      const { page: waiting } = await visitor.press((await visitor.open(asked.url)).page);
      assert.match(waiting.text, /owner of the organization has to approve/);
      assert.equal((await result(asked)).status, 'pending');
      page.asksOwner = false;

      await connect(visitor, asked.url, RETURN_URL, is('octocat'));
      assert.deepEqual((await result(asked)).data.installationId, '100');
      const bot = await served(own, { subject: { type: 'app' } });
      assert.equal((await served(own, { subject: { type: 'app' }, installationId: '100' })).token, bot.token);
      assert.equal((await issue('svc', bot.token)).status, 201);
    } finally {
      page.stop();
    }
  });

  it('gives tokens of users who consented', async () => {
    const subject = user('ann');
    assert.equal((await token(id, { subject })).status, 422);
    await consent(id, { subject }, is('octocat'));
    const served = ok(await token(id, { subject }));
    assert.match(served.token, /^gh[ou]_/);
    assert.equal((await (await api('/user', served.token)).json()).login, 'octocat');
    // The emulator's tokens have no end, and come without a refresh token.
    assert.equal(ok(await token(id, { subject, validityBufferMs: 86_400_000 })).token, served.token);
  });
});

describe('what GitHub delivers', () => {
  const SECRET = 'hub-signing';
  let github, page, id;
  const data = () => ({
    appId: 12345,
    appSlug: 'my-github-app',
    appName: 'My GitHub App',
    clientId: 'Iv1.abc123',
    clientSecret: 'gh-secret',
    privateKeyPem: GITHUB_KEY,
    webhookSecret: SECRET,
    serverConfig: {
      authorization_endpoint: `${page.url}/login/oauth/authorize`,
      token_endpoint: `${page.url}/login/oauth/access_token`,
      api_base_url: page.url,
    },
  });
  const rows = async () => ok(await call('GET', `/api/v1/connectors/${id}/installations`)).data.map((row) => [row.external_id, row.status]);
  const bot = (body) => token(id, { subject: app, installationId: '100', ...body });
  before(async () => {
    github = await Emulator.start('github', server.callback);
    page = await GithubPage.start(github.url, { callback: server.callback, installation: 100, account: 'my-org', members: ['octocat'] });
    id = await made('github', data());
    ok(await call('POST', `/api/v1/connectors/${id}/installations`, { external_id: '100', name: 'my-org', default: true }));
  });
  after(async () => {
    page?.stop();
    await github?.stop();
  });

  /** A delivery as GitHub signs it; what its emulator has no event of. */
  async function deliver(event, payload, { secret = SECRET, to = id } = {}) {
    const body = JSON.stringify(payload);
    const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
    const headers = { 'content-type': 'application/json', 'x-github-event': event, 'x-hub-signature-256': signature };
    const answer = await fetch(`${server.url}/trigger/${to}`, { method: 'POST', headers, body });
    return { status: answer.status, text: await answer.text() };
  }
  const installation = (action) => deliver('installation', { action, installation: { id: 100, account: { login: 'my-org' } }, repositories: [] });

  it('is believed where the emulator signed it by the connector’s secret, and only there', async () => {
    const subject = user('octo');
    await consent(id, { subject });
    const { token: bearer } = ok(await token(id, { subject }));
    const api = async (method, route, body) => {
      const answer = await fetch(github.url + route, { method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${bearer}` } });
      assert.ok(answer.ok, `${method} ${route}: ${answer.status}`);
      return answer.status === 204 ? undefined : answer.json();
    };
    // Who owns a repository may hook it.
    const hooks = `/repos/${(await api('POST', '/user/repos', { name: 'hooked' })).full_name}/hooks`;
    const wanted = await made('github', data(), { triggers: true, events: ['push'] });
    ok(await call('PATCH', `/v1/connect/connectors/${wanted}/trigger-destinations`, { destinations: [{ projectId: PROJECT }] }));
    for (const [to, secret, pinged, pushed] of [
      [id, SECRET, 200, 200],
      [id, 'another', 401, 401],
      ['scl_nobody', SECRET, 401, 401],
      [wanted, SECRET, 200, 501],
    ]) {
      const hook = await api('POST', hooks, { events: ['push'], config: { url: `${server.url}/trigger/${to}`, content_type: 'json', secret } });
      for (const [what, status] of [
        ['pings', pinged],
        ['tests', pushed],
      ]) {
        await api('POST', `${hooks}/${hook.id}/${what}`);
        const [last] = await api('GET', `${hooks}/${hook.id}/deliveries`);
        assert.equal(last.status_code, status, `${what} to ${to} by ${secret}: ${JSON.stringify(last)}`);
      }
      await api('DELETE', `${hooks}/${hook.id}`);
    }
  });

  it('has an installation looked at: its tokens are fetched anew, and stop while it is suspended or gone', async () => {
    const first = ok(await bot()).token;
    assert.equal(ok(await bot()).token, first);
    assert.equal((await deliver('installation_repositories', { action: 'added', installation: { id: 100 } })).status, 200);
    const second = ok(await bot()).token;
    assert.notEqual(second, first);

    // An old or a false word of its end: GitHub says otherwise.
    assert.equal((await installation('deleted')).status, 200);
    assert.deepEqual(await rows(), [['100', 'active']]);
    assert.equal((await deliver('installation', { action: 'created', installation: { id: 101 } })).status, 200);
    assert.deepEqual(await rows(), [['100', 'active']]);

    page.becomes = 'suspended';
    assert.equal((await installation('suspend')).status, 200);
    assert.deepEqual(await rows(), [['100', 'suspended_by_provider']]);
    assert.equal((await bot()).body.error.code, 'unresolved_token');
    page.becomes = undefined;
    assert.equal((await installation('unsuspend')).status, 200);
    assert.deepEqual(await rows(), [['100', 'active']]);
    ok(await bot());

    page.becomes = 'down';
    assert.equal((await installation('deleted')).status, 503);
    assert.deepEqual(await rows(), [['100', 'active']]);
    page.becomes = 'gone';
    assert.equal((await installation('deleted')).status, 200);
    assert.deepEqual(await rows(), [['100', 'removed']]);
    for (const body of [{}, { installationId: undefined }]) {
      const refused = await bot(body);
      assert.equal(refused.status, 422, refused.text);
      assert.equal(refused.body.error.code, 'client_installation_required');
    }
    const { data: log } = ok(await call('GET', `/api/v1/events?connector=${id}`));
    const ended = log.filter((line) => line.kind === 'installation.deleted' || line.kind === 'connection.revoked');
    assert.deepEqual(ended, []);
    // Nothing is lost where it was there all along.
    page.becomes = undefined;
    assert.equal((await installation('created')).status, 200);
    assert.deepEqual(await rows(), [['100', 'active']]);
    ok(await bot());
  });
});

describe('slack', () => {
  let slack, api, id;
  before(async () => {
    slack = await Emulator.start('slack', server.callback);
    api = await SlackApi.start(slack.url);
    id = await made('slack', {
      appId: 'A000000001',
      appName: 'SlackApp',
      clientId: '12345.67890',
      clientSecret: 'slack-secret',
      signingSecret: 'slack-signing',
      botScopes: ['chat:write', 'channels:read'],
      userScopes: ['users:read'],
      serverConfig: {
        authorization_endpoint: `${slack.url}/oauth/v2/authorize`,
        token_endpoint: `${slack.url}/api/oauth.v2.access`,
        api_base_url: api.url,
      },
    });
  });
  after(async () => {
    api?.stop();
    await slack?.stop();
  });

  it('gives a user the token that is theirs, and never the bot’s', async () => {
    const subject = user('ann');
    await consent(id, { subject });
    const served = ok(await token(id, { subject }));
    const test = await fetch(`${slack.url}/api/auth.test`, { method: 'POST', headers: { authorization: `Bearer ${served.token}` } });
    const who = await test.json();
    assert.equal(who.ok, true);
    assert.match(served.token, /^xoxp-/);
    assert.equal(served.metadata.team.id, who.team_id);
  });

  it('has the tokens that Slack says it ended tried, and ends those that it did', async () => {
    const subject = user('bea');
    await consent(id, { subject });
    const { token: bearer, metadata } = ok(await token(id, { subject }));
    const method = async (name) => {
      const headers = { authorization: `Bearer ${bearer}` };
      return (await fetch(`${api.url}/${name}`, { method: 'POST', headers })).json();
    };
    const { team_id: team, user_id: account } = await method('auth.test');
    assert.equal(metadata.team.id, team);
    const says = async (payload, secret = 'slack-signing') => {
      const body = JSON.stringify(payload);
      const at = String(Math.floor(Date.now() / 1000));
      const signature = `v0=${createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex')}`;
      const headers = { 'content-type': 'application/json', 'x-slack-request-timestamp': at, 'x-slack-signature': signature };
      return fetch(`${server.url}/trigger/${id}`, { method: 'POST', headers, body });
    };
    const challenge = { type: 'url_verification', token: 't', challenge: 'c-1' };
    assert.equal((await says(challenge, 'guess')).status, 401);
    assert.deepEqual(await (await says(challenge)).json(), { challenge: 'c-1' });

    const revoked = { type: 'event_callback', team_id: team, event: { type: 'tokens_revoked', tokens: { oauth: [account], bot: [] } } };
    assert.equal((await says(revoked)).status, 200);
    assert.equal(ok(await token(id, { subject })).token, bearer, 'Slack still takes it');
    assert.equal((await method('auth.revoke')).ok, true);
    assert.equal((await says(revoked)).status, 200);
    const refused = await token(id, { subject });
    assert.equal(refused.body.error?.code, 'user_authorization_required', refused.text);
  });

  it('installs the app in a workspace, whose bot has a token of its own that ends at Slack when it is revoked', async () => {
    const refused = await token(id, { subject: app });
    assert.equal(refused.status, 422);
    const asked = ok(await call('POST', `/v1/connect/install/${id}`, { returnUrl: RETURN_URL }, KEYS.workload));
    await connect(new Visitor(), asked.url, RETURN_URL);
    const served = ok(await token(id, { subject: app }));
    assert.match(served.token, /^xoxb-/);
    const test = (bearer) =>
      fetch(`${slack.url}/api/auth.test`, { method: 'POST', headers: { authorization: `Bearer ${bearer}` } }).then((answer) => answer.json());
    const who = await test(served.token);
    assert.deepEqual([who.ok, who.team_id], [true, served.installationId]);
    ok(await server.revoke(id, { key: KEYS.admin, subject: app }));
    assert.equal((await token(id, { subject: app })).status, 422);
  });
});

describe('linear', () => {
  let linear;
  const data = (client, secret, more) => ({
    clientId: client,
    clientSecret: secret,
    serverConfig: {
      authorization_endpoint: `${linear.url}/oauth/authorize`,
      token_endpoint: `${linear.url}/oauth/token`,
      revocation_endpoint: `${linear.url}/oauth/revoke`,
      api_base_url: `${linear.url}/graphql`,
    },
    ...more,
  });
  const asks = (bearer) =>
    fetch(`${linear.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { id email } organization { id name } }' }),
    }).then(async (answer) => (await answer.json()).data);
  before(async () => (linear = await Emulator.start('linear', server.callback)));
  after(() => linear?.stop());

  it('gives tokens of users, which end at Linear when they are revoked', async () => {
    const id = await made('linear', data('lin-client', 'lin-secret', { userScopes: ['read', 'write'] }));
    const subject = user('ann');
    await consent(id, { subject });
    const served = ok(await token(id, { subject }));
    const { viewer } = await asks(served.token);
    assert.ok(viewer.id);
    assert.deepEqual([served.externalSubject, served.name], [viewer.id, viewer.email]);
    const revoked = ok(await server.revoke(id, { key: KEYS.admin, subject }));
    assert.deepEqual([revoked.deleted, revoked.providerRevoked], [1, 1]);
  });

  it('gives tokens of the app itself, and once it is installed in a workspace those that it has there', async () => {
    const id = await made('linear', data('lin-app', 'lin-secret2', { appScopes: ['read', 'write'] }));
    const itself = await served(id, { subject: app });
    assert.equal((await served(id, { subject: app })).token, itself.token);
    assert.equal(itself.installationId, undefined);

    const started = await client.experimental_startInstallation(id, {}, { ...workload, returnUrl: RETURN_URL });
    await connect(new Visitor(), started.url, RETURN_URL);
    const { body } = await call('GET', `/v1/connect/result/${started.verifier}`);
    assert.equal(body.status, 'success');
    const { installationId } = body.data;
    const byName = await served(id, { subject: app, installationId });
    const { organization } = await asks(byName.token);
    assert.equal(installationId, organization.id);
    assert.equal((await served(id, { subject: app })).token, byName.token, 'the default installation');
    assert.notEqual(byName.token, itself.token);
    await assert.rejects(served(id, { subject: app, installationId: 'elsewhere' }), client.ConnectorInstallationRequiredError);

    const rows = ok(await call('GET', `/api/v1/connectors/${id}/installations`));
    assert.deepEqual(
      rows.data.map((row) => [row.external_id, row.name, row.default]),
      [[organization.id, organization.name, true]],
    );
    assert.equal((await server.call('DELETE', `/api/v1/installations/${rows.data[0].id}`, { key: KEYS.admin })).status, 200);
    assert.equal(await asks(byName.token), undefined, 'removing it ended its token at Linear');
    await assert.rejects(served(id, { subject: app, installationId }), client.ConnectorInstallationRequiredError);
  });

  it('installs an app that has no tokens by itself, and only in the workspace that was asked for', async () => {
    const id = await made('linear', data('lin-app', 'lin-secret2'));
    await assert.rejects(served(id, { subject: app }), client.ConnectorInstallationRequiredError);
    const start = (more) => client.experimental_startInstallation(id, {}, { ...workload, returnUrl: RETURN_URL, ...more });
    const other = await start({ tenantId: 'another-workspace' });
    await connect(new Visitor(), other.url, RETURN_URL);
    const { body } = await call('GET', `/v1/connect/result/${other.verifier}`);
    assert.deepEqual([body.status, body.error.code], ['error', 'other_tenant']);
    await assert.rejects(served(id, { subject: app }), client.ConnectorInstallationRequiredError);
    const any = await start();
    await connect(new Visitor(), any.url, RETURN_URL);
    assert.ok((await asks((await served(id, { subject: app })).token)).organization.id);
  });
});

describe('microsoft-entra', () => {
  let microsoft, id;
  before(async () => {
    microsoft = await Emulator.start('microsoft', server.callback);
    id = await made('microsoft-entra', {
      clientId: 'ms-client',
      clientSecret: 'ms-secret',
      tenantId: 'contoso.onmicrosoft.com',
      serverConfig: {
        authorization_endpoint: `${microsoft.url}/oauth2/v2.0/authorize`,
        token_endpoint: `${microsoft.url}/oauth2/v2.0/token`,
      },
    });
  });
  after(() => microsoft?.stop());

  it('gives tokens of users, and asks for no more than who they are unless told', async () => {
    const subject = user('ann');
    await consent(id, { subject });
    const served = ok(await token(id, { subject }));
    const me = await fetch(`${microsoft.url}/oidc/userinfo`, { headers: { authorization: `Bearer ${served.token}` } });
    assert.ok((await me.json()).email);
  });

  it('says of which tenant somebody is who signs in, by the ID token that came with their tokens', async () => {
    const config = (await call('GET', `/api/v1/connectors/${id}`)).body.data.serverConfig;
    const own = await made('microsoft-entra', {
      clientId: 'ms-client',
      clientSecret: 'ms-secret',
      serverConfig: { ...config, userinfo_endpoint: `${microsoft.url}/oidc/userinfo` },
    });
    const { access_token } = await signIn(own, 'http://localhost:9999/microsoft', 'm@example.com');
    const claims = JSON.parse(Buffer.from(access_token.split('.')[1], 'base64url'));
    const served = await (await fetch(`${microsoft.url}/.well-known/openid-configuration`)).json();
    assert.ok(claims.tenantId && new URL(served.issuer).pathname.split('/').includes(claims.tenantId), `${claims.tenantId} of ${served.issuer}`);
    assert.equal(claims.installationId, undefined);
  });

  it('gives tokens of the app for all of its permissions at one resource, and for nothing else', async () => {
    ok(await token(id, { subject: app }));
    ok(await token(id, { subject: app, scopes: ['https://api.botframework.com/.default'] }));
    const refused = await token(id, { subject: app, scopes: ['User.Read'] });
    assert.equal(refused.status, 400, refused.text);
    assert.match(refused.body.error.message, /scopes.*\.default/);
  });
});

for (const [service, { authorization, token: at, revocation, client, scopes, params }] of Object.entries({
  google: {
    authorization: '/o/oauth2/v2/auth',
    token: '/oauth2/token',
    revocation: '/oauth2/revoke',
    client: ['g-client', 'g-secret'],
    scopes: ['openid', 'email'],
    params: { access_type: 'offline' },
  },
  okta: {
    authorization: '/oauth2/default/v1/authorize',
    token: '/oauth2/default/v1/token',
    revocation: '/oauth2/default/v1/revoke',
    client: ['okta-client', 'okta-secret'],
    scopes: ['openid', 'offline_access'],
  },
}))
  describe(`${service}, as a client of its own`, () => {
    let peer;
    before(async () => (peer = await Emulator.start(service, server.callback)));
    after(() => peer?.stop());

    it('connects a user and ends what they granted', async () => {
      const id = await made('oauth', {
        clientId: client[0],
        clientSecret: client[1],
        serverConfig: {
          authorization_endpoint: peer.url + authorization,
          token_endpoint: peer.url + at,
          revocation_endpoint: peer.url + revocation,
        },
        userAuthorization: { enabled: true, scopes },
        ...(params && { authorizationUrlParams: params }),
      });
      const subject = user('ann');
      await consent(id, { subject });
      assert.ok(ok(await token(id, { subject })).token);
      assert.equal(ok(await server.revoke(id, { key: KEYS.admin, subject })).providerRevoked, 1);
      assert.equal((await token(id, { subject })).status, 422);
    });
  });
