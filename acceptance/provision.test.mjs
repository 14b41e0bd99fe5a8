// A workload that makes the connector it needs: `autoProvision` of npm @vercel/connect, unmodified, through the module
// that we ship, against Model Context Protocol servers of the SDK's own making.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import { ConnectError } from '@vercel/connect';
import { connect } from '@vercel/connect/eve';
import { connect as connectOfJune } from 'vercel-connect-0.7.0/eve';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer, whoami } from './lib/mcp.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const STAGED = 'prj_staged';
const ROUTE = '/v1/connect/connectors/managed/oauth';
let server, mcp, other;
const workload = (environment, project = PROJECT) => server.workloadToken(project, environment);

/** What an eve agent holds of a connection: the authorization that the package makes of a connector's name. */
async function agent(connector, { autoProvision = true, environment = 'production', url = mcp.url, id = 'u1' } = {}) {
  const auth = connect({ connector, autoProvision, connectOptions: { vercelToken: await workload(environment) } });
  const context = { connection: { url }, principal: { type: 'user', id } };
  const needsConsent = () =>
    assert.rejects(auth.getToken(context), ({ name }) => name === 'ConnectionAuthorizationRequiredError');
  const start = () => auth.startAuthorization({ ...context, callbackUrl: RETURN_URL });
  return { needsConsent, start, auth, context };
}
const registered = async () => (await (await fetch(new URL('/_stats', mcp.issuer))).json()).registered;
const read = (uid) => server.call('GET', `/v1/connect/connectors/${encodeURIComponent(uid)}`, { key: KEYS.admin });
const link = (uid, project = PROJECT) =>
  server.call('GET', `/v1/connect/connectors/${encodeURIComponent(uid)}/projects/${project}`, { key: KEYS.admin });
const provision = (key, body) => server.call('POST', ROUTE, { key, body });

before(async () => {
  server = await Grantry.start(
    world({
      projects: [{ id: STAGED, team: TEAM, name: 'staged', custom_environments: [{ id: 'env_qa', slug: 'qa' }] }],
      connectors: [{ id: 'scl_key', uid: 'mcp/key', team: TEAM, name: 'Key', type: 'api-key', data: { values: [{ value: 'k' }] } }],
    }),
  );
  process.env.GRANTRY_URL = server.url;
  [mcp, other] = await Promise.all([mcpServer({}), mcpServer({})]);
});
after(() => Promise.all([server, mcp, other].map((one) => one?.stop())));

describe('a project that may not make connectors', () => {
  it('is refused in the words that Vercel uses, and nothing is made', async () => {
    const { auth, context } = await agent('mcp/refused');
    await assert.rejects(auth.getToken(context), (error) => {
      assert.ok(error instanceof ConnectError, `${error}`);
      assert.deepEqual([error.status, error.code], [403, 'forbidden']);
      assert.equal(error.message, 'Project OIDC connector provisioning is not allowed.');
      return true;
    });
    assert.equal((await read('mcp/refused')).status, 404);
    assert.equal(await registered(), 0);
  });
});

describe('a client that provisions before it asks', () => {
  const uid = 'mcp/by-hand';
  it('comes from a connector that an admin made and linked to a token, and nothing is written for it', async () => {
    const made = await server.call('POST', '/v1/connect/connectors', {
      key: KEYS.admin,
      body: { type: 'oauth', name: 'By hand', uid, projectId: PROJECT, environments: ['production'], data: { serverUrl: mcp.url } },
    });
    assert.equal(made.status, 201, made.text);
    assert.ok((await read(uid)).body.data.clientId);
    const count = await registered();
    // Its server is named otherwise: what is linked is used as it is.
    const context = { connection: { url: `${mcp.url}?by=hand` }, principal: { type: 'user', id: 'u1' } };
    const auth = connectOfJune({ connector: uid, connectOptions: { vercelToken: await workload('production') } });
    await assert.rejects(auth.getToken(context), ({ name }) => name === 'ConnectionAuthorizationRequiredError');
    const { challenge } = await auth.startAuthorization({ ...context, callbackUrl: RETURN_URL });
    await new Visitor().connect(challenge.url, RETURN_URL);
    const { token } = await auth.completeAuthorization({ ...context, callbackUrl: RETURN_URL });
    assert.equal(await whoami(mcp.url, token), (await read(uid)).body.data.clientId);
    assert.equal(await registered(), count);

    const before = await read(uid);
    const answer = await provision(await workload('production'), { uid, serverUrl: mcp.url });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.id, made.body.id);
    assert.equal((await read(uid)).text, before.text);
  });

  it('is refused where the connector is linked in another environment only', async () => {
    const answer = await provision(await workload('preview'), { uid, serverUrl: mcp.url });
    assert.equal(answer.status, 403, answer.text);
    assert.equal(answer.body.error.message, 'Project OIDC connector provisioning is not allowed.');
    assert.deepEqual((await link(uid)).body.environments, ['production']);
    const key = await provision(await workload('production'), { uid: 'mcp/key', serverUrl: mcp.url });
    assert.equal(key.status, 403, key.text);
  });
});

describe('a project that may', () => {
  before(async () => {
    const allowed = await server.command('projects', 'update', PROJECT, '--provisions', 'true', '--team', TEAM, '--json');
    assert.equal(JSON.parse(allowed).provisions, true);
    const shown = await server.call('GET', `/api/v1/projects/${PROJECT}`, { key: KEYS.admin });
    assert.equal(shown.body.provisions, true);
    await server.apply({ projects: [{ id: STAGED, team: TEAM, name: 'staged', provisions: true }] });
  });

  it('is left alone by a client that was not told to provision', async () => {
    const { auth, context } = await agent('mcp/first', { autoProvision: false });
    await assert.rejects(auth.getToken(context), ({ status, code }) => status === 404 && code === 'not_found');
  });

  it('comes from an unknown connector to a token that the MCP server takes', async () => {
    const { auth, context, needsConsent, start } = await agent('mcp/first');
    await needsConsent();
    const made = (await read('mcp/first')).body;
    assert.deepEqual([made.type, made.service, made.name], ['oauth', '127.0.0.1', 'mcp/first']);
    assert.deepEqual(made.createdBy, { type: 'project', id: PROJECT, environment: 'production' });
    assert.deepEqual((await link('mcp/first')).body.environments, ['production']);

    const { challenge } = await start();
    await new Visitor().connect(challenge.url, RETURN_URL);
    const { token } = await auth.completeAuthorization(context);
    assert.equal(await whoami(mcp.url, token), made.data.clientId);
  });

  it('is linked again where the token call says that it is not', async () => {
    const uid = encodeURIComponent('mcp/first');
    const unlinked = await server.call('DELETE', `/v1/connect/connectors/${uid}/projects/${PROJECT}`, { key: KEYS.admin });
    assert.equal(unlinked.status, 204, unlinked.text);
    const count = await registered();
    const { needsConsent } = await agent('mcp/first', { id: 'u2' });
    await needsConsent();
    assert.deepEqual((await link('mcp/first')).body.environments, ['production']);
    assert.equal(await registered(), count);
  });

  it('starts a consent for a connector that it has yet to make', async () => {
    const { start } = await agent('mcp/started');
    const { challenge } = await start();
    assert.equal(new URL(challenge.url).origin, server.url);
    assert.equal((await read('mcp/started')).status, 200);
  });

  it('makes one connector and one client however many deployments ask at once, in all their environments', async () => {
    const count = await registered();
    const environments = ['production', 'preview', 'development'];
    const keys = await Promise.all(environments.map((environment) => workload(environment)));
    const body = { uid: 'mcp/many', serverUrl: mcp.url };
    const answers = await Promise.all([...keys, ...keys, ...keys, ...keys].map((key) => provision(key, body)));
    for (const answer of answers) assert.equal(answer.status, 200, answer.text);
    assert.equal(new Set(answers.map(({ body: { id } }) => id)).size, 1);
    assert.equal(await registered(), count + 1);
    assert.deepEqual((await link('mcp/many')).body.environments.toSorted(), environments.toSorted());
  });

  it('is linked in an environment of its own, beside another project', async () => {
    const answer = await provision(await workload('env_qa', STAGED), { uid: 'mcp/many', serverUrl: mcp.url });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual((await link('mcp/many', STAGED)).body.environments, ['env_qa']);
    assert.equal((await link('mcp/many')).body.environments.length, 3);
  });

  it('is told of a uid that is no OAuth connector, in words that its client lets pass', async () => {
    const key = await workload('production');
    const answer = await provision(key, { uid: 'mcp/key', serverUrl: mcp.url });
    assert.deepEqual(answer.body, {
      error: { code: 'conflict', message: 'Connector mcp/key already exists and is not an OAuth connector.' },
    });
    assert.equal(answer.status, 409);
    // The client goes on, and the second try says what the first one said.
    const { auth, context } = await agent('mcp/key');
    await assert.rejects(auth.getToken(context), /not linked to this project/);
    assert.equal((await link('mcp/key')).status, 404);
  });

  it('does not come to a connector of another server by its name', async () => {
    const answer = await provision(await workload('production', STAGED), { uid: 'mcp/first', serverUrl: other.url });
    assert.equal(answer.status, 409, answer.text);
    assert.match(answer.body.error.message, /of another server/);
    assert.equal((await link('mcp/first', STAGED)).status, 404);
  });

  for (const [what, body, field] of [
    ['no URL', { uid: 'mcp/bad' }, /serverUrl/],
    ['no uid', { serverUrl: 'http://127.0.0.1:1/mcp' }, /uid/],
    ['a URL that is none', { uid: 'mcp/bad', serverUrl: 'mcp.example' }, /serverUrl: must be an absolute URL/],
    ['a URL of another scheme', { uid: 'mcp/bad', serverUrl: 'file:///etc/passwd' }, /serverUrl/],
    ['a URL where nothing is', { uid: 'mcp/bad', serverUrl: 'http://127.0.0.1:1/mcp' }, /serverUrl/],
    ['a reserved uid', { uid: 'scl_1', serverUrl: 'http://127.0.0.1:1/mcp' }, /uid: must not start with/],
    ['a uid with a space', { uid: 'a b', serverUrl: 'http://127.0.0.1:1/mcp' }, /uid: must not contain/],
  ])
    it(`is refused with ${what}, and nothing is stored`, async () => {
      const count = async () => (await server.call('GET', '/api/v1/connectors?limit=100', { key: KEYS.admin })).body.data.length;
      const before = await count();
      const answer = await provision(await workload('production'), body);
      assert.deepEqual([answer.status, answer.body.error.code], [400, 'bad_request'], answer.text);
      assert.match(answer.body.error.message, field);
      assert.equal(await count(), before);
    });
});

for (const role of ['admin', 'member', 'stranger'])
  it(`is not for ${role}'s key`, async () => {
    const answer = await provision(KEYS[role], { uid: 'mcp/person', serverUrl: mcp.url });
    assert.deepEqual([answer.status, answer.body.error.code], [403, 'forbidden'], answer.text);
    assert.equal((await read('mcp/person')).status, 404);
  });
