// npm vercel, the CLI, unmodified: whose token it gets and ends, where events go, and what it finds.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer } from './lib/mcp.mjs';
import { VercelCli } from './lib/vercel-cli.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const project = { id: PROJECT, team: TEAM, name: 'web' };
const CRM = {
  clientId: 'cid',
  serverConfig: { authorization_endpoint: 'https://crm.example.com/a', token_endpoint: 'https://crm.example.com/t' },
  userAuthorization: { enabled: true },
};

let server, cli, mcp;
const as = (token) => new VercelCli({ url: server.url, token, scope: TEAM, project });
before(async () => {
  const row = (id, type, data, more) => ({ id: `scl_${id}`, uid: `${type}/${id}`, team: TEAM, name: id, type, data, ...more });
  [server, mcp] = await Promise.all([
    Grantry.start(
      world({
        projects: [{ id: 'prj_2', team: TEAM, name: 'api', custom_environments: [{ id: 'env_qa', slug: 'qa' }] }],
        connectors: [
          row('crm', 'oauth', CRM),
          row('slack', 'slack', { appId: 'A1', appName: 'Bot', clientId: 'c', clientSecret: 's', botScopes: ['chat:write'] }),
          row('one', 'api-key', { values: [{ value: 'k-1' }] }, { service: 'notion' }),
          row('two', 'api-key', { values: [{ value: 'k-2' }] }),
        ],
        connections: [
          ...[['usr_alice', 'at-alice'], ['usr_bob', 'at-bob']].map(([id, access_token]) => ({
            team: TEAM, connector: 'scl_crm', environment: 'production', subject: { type: 'user', id }, access_token,
          })),
        ],
      }),
    ),
    mcpServer({}),
  ]);
  cli = as(KEYS.admin);
});
after(() => Promise.all([server, mcp].map((one) => one?.stop())));

const seen = async (connector) =>
  (await server.call('GET', `/v1/connect/connectors/${encodeURIComponent(connector)}`, { key: KEYS.admin })).body;
const environments = async (connector, of) =>
  (await server.call('GET', `/v1/connect/connectors/${encodeURIComponent(connector)}/projects/${of}`, { key: KEYS.admin })).body.environments;
/** Runs a command that has to fail; what it said. */
const refused = async (...args) => {
  const { code, out, err } = await cli.run(...args);
  assert.notEqual(code, 0, out);
  return err + out;
};

describe('token', () => {
  it('is the person’s own, unless they ask for the application’s', async () => {
    for (const flags of [[], ['--subject', 'user'], ['--no-default-scopes']]) {
      const { token, connector } = await cli.json('token', 'oauth/crm', ...flags);
      assert.deepEqual([token, connector.id], ['at-alice', 'scl_crm'], flags.join(' '));
    }
    assert.equal((await as(KEYS.member).json('token', 'oauth/crm')).token, 'at-bob');
    assert.match(await refused('token', 'oauth/crm', '--subject', 'app'), /app/);
  });

  it('is that of the scopes that are named', async () => {
    const token = { accessToken: 'at-narrow', expiresAt: Date.now() + 3_600_000, environment: 'production', subject: { type: 'user', id: 'usr_alice' }, scopes: ['read', 'write'] };
    const imported = await server.call('POST', '/v1/connect/token/oauth%2Fcrm/import', { key: KEYS.admin, body: { tokens: [token] } });
    assert.equal(imported.body.imported, 1, imported.text);
    for (const scopes of ['read,write', 'write read']) assert.equal((await cli.json('token', 'oauth/crm', '--scopes', scopes)).token, 'at-narrow');
    assert.match(await refused('token', 'oauth/crm', '--scopes', 'read', '--format=json'), /authoriz/i);
  });

  it('is that of the installation that is named', async () => {
    const tokens = ['T1', 'T2'].map((id) => ({
      accessToken: `xoxb-${id}`, expiresAt: Date.now() + 3_600_000, environment: 'production', subject: { type: 'app' },
      installationId: id, installation: { id, name: id },
    }));
    const imported = await server.call('POST', '/v1/connect/token/slack%2Fslack/import', { key: KEYS.admin, body: { tokens } });
    assert.equal(imported.body.imported, 2, imported.text);
    for (const id of ['T1', 'T2']) {
      const { token, installationId } = await cli.json('token', 'slack/slack', '--subject', 'app', '--installation-id', id);
      assert.deepEqual([token, installationId], [`xoxb-${id}`, id]);
    }
    assert.match(await refused('token', 'slack/slack', '--subject', 'app', '--installation-id', 'T3', '--format=json'), /install/i);
  });
});

it('revoke-tokens --my-tokens ends the person’s own, and nobody else’s', async () => {
  const { tokensFound, deleted } = await as(KEYS.member).json('revoke-tokens', 'oauth/crm', '--my-tokens', '--yes');
  assert.deepEqual([tokensFound, deleted], [1, 1]);
  assert.equal((await server.token('oauth/crm', { key: KEYS.workload, subject: { type: 'user', id: 'usr_bob' } })).status, 403, 'not linked');
  assert.match((await as(KEYS.member).run('token', 'oauth/crm', '--format=json')).err, /authoriz/i);
  assert.equal((await cli.json('token', 'oauth/crm')).token, 'at-alice');
});

describe('attach --triggers', () => {
  it('links the project and sends it the events, beside where they went before', async () => {
    await cli.json('attach', 'slack/slack', '-e', 'production', '--triggers', '--trigger-path', '/hook', '--yes');
    await cli.json('attach', 'slack/slack', '--project', 'api', '-e', 'production', '--triggers', '--trigger-environment', 'qa', '--yes');
    await cli.json('attach', 'slack/slack', '--project', 'api', '-e', 'production', '--triggers', '--trigger-branch', 'main', '--yes');
    const { triggerDestinations } = await seen('slack/slack');
    assert.deepEqual(
      triggerDestinations.map(({ projectId, path, branch, customEnvironmentId }) => [projectId, path, branch, customEnvironmentId]),
      [[PROJECT, '/hook', undefined, undefined], ['prj_2', undefined, undefined, 'env_qa'], ['prj_2', undefined, 'main', undefined]],
    );
    assert.deepEqual(await environments('slack/slack', PROJECT), ['production']);
    assert.ok((await environments('slack/slack', 'api')).includes('preview'), 'where the branch is deployed');
    assert.match(await refused('attach', 'slack/slack', '--triggers', '--trigger-path', '/fourth', '--yes'), /3|three/);
    assert.equal((await seen('slack/slack')).triggerDestinations.length, 3);
  });
});

describe('list', () => {
  it('is of a type or a service, and goes on from where a page ended', async () => {
    const ids = async (...flags) => (await cli.json('list', '--all-projects', ...flags)).connectors.map(({ id }) => id).toSorted();
    assert.deepEqual(await ids('--type', 'slack', '--type', 'oauth'), ['scl_crm', 'scl_slack']);
    assert.deepEqual(await ids('--service', 'notion', '--type', 'api-key'), ['scl_one']);
    const first = await cli.json('list', '--all-projects', '--limit', '3');
    const cursor = first.cursor ?? first.pagination?.next ?? first.next;
    assert.ok(cursor, JSON.stringify(first));
    const second = await cli.json('list', '--all-projects', '--limit', '3', '--next', `${cursor}`);
    const all = [...first.connectors, ...second.connectors].map(({ id }) => id);
    assert.deepEqual(all.toSorted(), ['scl_crm', 'scl_one', 'scl_slack', 'scl_two']);
  });
});

describe('create', () => {
  it('needs nothing but the URL of an MCP server, with which it registers', async () => {
    const made = await cli.json('create', mcp.url, '--name', 'tools', '--triggers', '--trigger-branch', 'next');
    const row = await seen(made.id);
    assert.deepEqual([row.type, row.name, row.data.serverUrl], ['oauth', 'tools', mcp.url]);
    assert.ok(row.data.clientId);
    assert.deepEqual(row.triggerDestinations, [{ projectId: PROJECT, branch: 'next' }]);
    assert.ok((await environments(made.id, PROJECT)).includes('preview'));
  });

  it('says how a service can be connected to', async () => {
    const { out, err } = await cli.run('create', 'okta', '--help');
    for (const part of ['Connection methods for Okta', '--param domain=<value>', `${server.url}/callback`, '--data with clientId (required)'])
      assert.ok((out + err).replace(/\s+/g, ' ').includes(part), `${part}: ${out}${err}`);
  });
});

it('contacts are refused in words: no provider of telephone lines is spoken to', async () => {
  const said = await refused('contacts', 'add', 'slack/slack', '--phone-number', '+12025551234');
  assert.match(said, /contacts/i);
});
