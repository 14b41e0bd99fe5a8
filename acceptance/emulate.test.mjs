// Connector types against vercel-labs' emulators of their third parties.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Emulator, GITHUB_KEY, connect } from './lib/emulate.mjs';
import { Grantry } from './lib/grantry.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

let server;
before(async () => {
  server = await Grantry.start();
  await server.apply(world());
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

/** A whole consent of a user, by the workload. */
async function consent(connector, body) {
  const asked = ok(await call('POST', `/v1/connect/authorize/${connector}`, { returnUrl: RETURN_URL, ...body }, KEYS.workload));
  return connect(new Visitor(), asked.url, RETURN_URL);
}

const app = { type: 'app' };
const user = (id) => ({ type: 'user', id });

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
      assert.equal(refused.body.error.authorizationUrl, `${github.url}/apps/my-github-app/installations/new`);
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

  it('opens the breaker, and not the installation, when GitHub does not know the app', async () => {
    const other = await made('github', { ...data(), appId: 77 });
    ok(await call('POST', `/api/v1/connectors/${other}/installations`, { external_id: '100' }));
    const refused = await token(other, installed);
    assert.equal(refused.status, 422, refused.text);
    assert.equal(refused.body.error.code, 'unresolved_token');
    assert.equal(ok(await call('GET', `/api/v1/connectors/${other}`)).fault.code, 'invalid_client');
  });

  it('gives tokens of users who consented', async () => {
    const subject = user('ann');
    assert.equal((await token(id, { subject })).status, 422);
    await consent(id, { subject });
    const served = ok(await token(id, { subject }));
    assert.ok((await (await api('/user', served.token)).json()).login);
  });
});
