// npm vercel, the CLI, unmodified, with --api.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { png, sha1 } from './lib/image.mjs';
import { VercelCli } from './lib/vercel-cli.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const projects = [{ id: 'prj_2', team: TEAM, name: 'api', custom_environments: [{ id: 'env_qa', slug: 'qa' }] }];
const project = { id: PROJECT, team: TEAM, name: 'web' };
const CRM = {
  clientId: 'cid',
  serverConfig: { authorization_endpoint: 'https://crm.example.com/a', token_endpoint: 'https://crm.example.com/t' },
  userAuthorization: { enabled: true },
};

let server, cli;
before(async () => {
  server = await Grantry.start(world({ projects }));
  cli = as(KEYS.admin);
});
after(() => server?.stop());

const as = (token, scope = TEAM) => new VercelCli({ url: server.url, token, scope, project });
const seen = async (connector) =>
  (await server.call('GET', `/v1/connect/connectors/${encodeURIComponent(connector)}`, { key: KEYS.admin })).body;
const create = (name, type, data, ...more) =>
  cli.json('create', 'crm.example.com', '--name', name, '--connector-type', type, '--data', JSON.stringify(data), ...more);

describe('create --data', () => {
  it('makes an api-key connector, linked to the folder’s project', async () => {
    const made = await create('acme', 'api-key', { values: [{ value: 'k-1' }] });
    assert.match(made.id, /^scl_/);
    const row = await seen(made.id);
    assert.deepEqual([row.name, row.type, row.service], ['acme', 'api-key', 'crm.example.com']);
    const { body } = await server.call('GET', `/v1/connect/connectors/${made.id}/projects`, { key: KEYS.admin });
    assert.deepEqual(body.projects.map(({ projectId }) => projectId), [PROJECT]);
  });

  it('makes an oauth connector with looks, triggers and a destination', async () => {
    const icon = path.join(cli.folder, 'icon.png');
    writeFileSync(icon, png(640, 640));
    const made = await create('looks', 'oauth', CRM, '--icon', icon, '--background-color', '#000000', '--accent-color', '#ffffff',
      '--triggers', '--trigger-event', 'push', '--trigger-project', 'api', '--trigger-environment', 'qa', '--trigger-path', '/hook');
    const row = await seen(made.id);
    assert.deepEqual([row.icon, row.backgroundColor, row.accentColor], [sha1(png(640, 640)), '#000000', '#ffffff']);
    assert.deepEqual([row.triggers, row.events], [{ enabled: true }, ['push']]);
    assert.deepEqual(row.triggerDestinations, [{ projectId: 'prj_2', customEnvironmentId: 'env_qa', path: '/hook' }]);
  });

  it('says what is wrong', async () => {
    const { code, err } = await cli.run('create', 'crm.example.com', '--name', 'bad', '--connector-type', 'oauth', '--data', '{"clientSecret":"s"}');
    assert.notEqual(code, 0);
    assert.match(err, /data\.clientId/);
  });
});

describe('create by service', () => {
  const secrets = JSON.stringify({ clientId: 'cid', clientSecret: 'never-shown' });

  it('takes type, endpoints and defaults from the catalogue', async () => {
    const made = await cli.json('create', 'notion', '--name', 'notes', '--data', secrets, '--connection-method', 'oauth');
    const row = await seen(made.id);
    assert.deepEqual([row.type, row.service, row.connectionMethod, row.uid], ['oauth', 'notion', 'oauth', 'notion/notes']);
    assert.deepEqual(row.data.userAuthorization, { enabled: true });
    const asked = await server.call('POST', `/v1/connect/authorize/${made.id}`, { key: KEYS.workload, body: { subject: { type: 'user', id: 'u' } } });
    assert.equal(asked.status, 200, asked.text);
  });

  it('makes what Grantry has a type of its own for', async () => {
    const keys = { clientId: 'cid', clientSecret: 's' };
    for (const [service, type, data, subjects] of [
      ['linear', 'linear', { ...keys, appScopes: ['read'] }, ['user', 'app']],
      ['discord', 'discord', { applicationId: '1', botToken: 'bot' }, ['app']],
      ['microsoft-entra', 'microsoft-entra', { ...keys, tenantId: 'acme.example' }, ['user', 'app']],
      ['microsoft-teams', 'microsoft-teams', { appId: 'cid', clientSecret: 's', tenantId: 'acme.example' }, ['user', 'app']],
      ['sendblue', 'sendblue', { apiKeyId: 'i', apiSecretKey: 's', phoneNumbers: ['+14155550100'] }, ['app']],
      ['photon', 'photon', { projectId: 'p', projectSecret: 's' }, ['app']],
      ['linq', 'linq', { apiToken: 'k' }, ['app']],
      ['salesforce', 'salesforce', { consumerKey: 'k', consumerSecret: 's', loginHost: 'login.salesforce.com' }, ['user']],
      ['slack', 'slack', { appId: 'A', appName: 'n', ...keys }, ['user', 'app']],
      ['notion', 'oauth', keys, ['user']],
    ]) {
      const made = await cli.json('create', service, '--name', `own ${service}`, '--data', JSON.stringify(data));
      const row = await seen(made.id);
      assert.deepEqual([row.type, row.service, row.supportedSubjectTypes], [type, service, subjects]);
    }
    const { code, err } = await cli.run('create', 'linear', '--name', 'bad', '--data', '{"clientId":"c"}');
    assert.notEqual(code, 0);
    assert.match(err, /data\.clientSecret/);
  });

  it('takes the first way where none is named, without a terminal too', async () => {
    for (const service of ['github', 'snowflake', 'salesforce', 'microsoft-teams', 'photon']) {
      const { address, done } = cli.begin('create', service, '--name', `managed ${service}`, '--format=json');
      const [, id] = /\/register\/(scr_\w+)$/.exec(await address);
      const canceled = await server.call('DELETE', `/api/v1/setups/${id}`, { key: KEYS.admin });
      assert.ok(canceled.status < 300, canceled.text);
      const { code, err } = await done;
      assert.notEqual(code, 0);
      assert.match(err, /canceled/i);
    }
  });

  it('says what a service takes', async () => {
    const { out, err } = await cli.run('create', 'github', '--help');
    for (const word of ['methods for GitHub:', 'GitHub App', 'github-app', 'OAuth app']) assert.ok((out + err).includes(word), out + err);
    // What the CLI does not know of types that it has never met, in what it prints of each way.
    for (const [service, ...words] of [
      ['salesforce', 'consumerKey (required), consumerSecret (required), loginHost (required)', '--param login_host=<value>  Login host · default: login.salesforce.com'],
      ['snowflake', 'accountIdentifier (required)', 'clientId, clientSecret', 'user', '--param account=<value>  Account · e.g. acme-prod', '--param account=acme-prod'],
      ['okta', '--param domain=<value>  Domain · e.g. acme.okta.com'],
      ['aws', 'data with roleArn, region'],
    ]) {
      const told = await cli.run('create', service, '--help');
      const text = (told.out + told.err).replace(/\s+/g, ' ');
      for (const word of words) assert.ok(text.includes(word.replace(/\s+/g, ' ')), `${service}: ${word}\n${told.out}${told.err}`);
    }
  });

  it('fills in what differs between customers', async () => {
    const made = await cli.json('create', 'okta', '--name', 'staff', '--data', secrets, '--connection-method', 'oauth', '--param', 'domain=acme.okta.com');
    assert.deepEqual((await seen(made.id)).data.variables, { domain: 'acme.okta.com' });
    for (const [params, named] of [[[], 'domain'], [['--param', 'tenant=x'], 'tenant'], [['--param', 'domain=a/b'], 'domain']]) {
      const { code, err } = await cli.run('create', 'okta', '--name', 'bad', '--data', secrets, '--connection-method', 'oauth', ...params);
      assert.notEqual(code, 0);
      assert.match(err, new RegExp(named));
    }
  });

  /** A server that says how it authorizes, for as long as `use` takes. */
  async function withServer(more, use) {
    const metadata = (url) => ({
      issuer: url,
      authorization_endpoint: `${url}/authorize`,
      token_endpoint: `${url}/token`,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      ...more(url),
    });
    const provider = createServer((request, answer) => {
      const known = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)$/.test(request.url);
      const registers = request.method === 'POST' && request.url === '/register';
      answer.writeHead(registers ? 201 : known ? 200 : 404, { 'content-type': 'application/json' });
      const registered = { client_id: 'registered', token_endpoint_auth_method: 'none', redirect_uris: [`${server.url}/callback`] };
      answer.end(JSON.stringify(registers ? registered : known ? metadata(`http://${request.headers.host}`) : {}));
    });
    await new Promise((done) => provider.listen(0, '127.0.0.1', done));
    try {
      await use(`http://127.0.0.1:${provider.address().port}`);
    } finally {
      provider.close();
    }
  }

  it('discovers a server that is named by its URL', () =>
    withServer(() => ({}), async (url) => {
      const made = await cli.json('create', url, '--name', 'found', '--data', JSON.stringify({ clientId: 'cid' }));
      const row = await seen(made.id);
      assert.deepEqual([row.type, row.data.serverUrl.replace(/\/$/, '')], ['oauth', url]);
    }));

  it('registers with a server that is named by its URL alone', () =>
    withServer((url) => ({ registration_endpoint: `${url}/register` }), async (url) => {
      const made = await cli.json('create', `${url}/mcp`, '--name', 'registered');
      const row = await seen(made.id);
      assert.deepEqual([row.type, row.service, row.data.clientId], ['oauth', new URL(url).hostname, 'registered']);
    }));

  it('is told what the service takes', async () => {
    const { body } = await server.call('GET', '/v1/connect/services/okta?schemas=true', { key: KEYS.admin });
    const [method] = body.connectionMethods;
    assert.deepEqual([body.name, method.connectionMethod, method.type.type, method.create], ['Okta', 'oauth', 'oauth', { managed: false, manual: true }]);
    assert.deepEqual(method.templateFields.map(({ key, label }) => [key, label]), [['domain', 'Domain']]);
    assert.ok(method.instructions.includes(`${server.url}/callback`));
    assert.ok(method.type.encryptedFields.includes('clientSecret'));
    assert.equal(method.type.createInputSchema.properties.clientSecret.writeOnly, true);
    for (const unknown of ['pigeon-post', 'http%3A%2F%2F127.0.0.1%3A9%2Fmcp'])
      assert.equal((await server.call('GET', `/v1/connect/services/${unknown}`, { key: KEYS.admin })).status, 404);
  });
});

describe('a connector from its making to its end', () => {
  let id;
  before(async () => ({ id } = await create('life', 'api-key', { values: [{ value: 'k-life' }] }, '--format=json')));

  it('is listed, of a project and of the team', async () => {
    const all = await cli.json('list', '--all-projects');
    const row = all.connectors.find((one) => one.id === id);
    assert.equal(row.uid, 'crm.example.com/life');
    assert.deepEqual(row.includes?.projects?.items?.map(({ project }) => project.name) ?? row.projects?.map(({ name }) => name), ['web']);
    const own = await cli.json('list');
    assert.ok(own.connectors.some((one) => one.id === id));
    const found = await cli.json('list', '--all-projects', '--search', 'nowhere');
    assert.deepEqual(found.connectors, []);
    const first = await cli.json('list', '--all-projects', '--limit', '1');
    assert.equal(first.connectors.length, 1);
  });

  it('is attached elsewhere, and detached', async () => {
    await cli.json('attach', id, '--project', 'api', '-e', 'production', '-e', 'qa', '--yes');
    const link = async () => server.call('GET', `/v1/connect/connectors/${id}/projects/api`, { key: KEYS.admin });
    assert.deepEqual((await link()).body.environments.toSorted(), ['env_qa', 'production']);
    await cli.json('detach', id, '--project', 'api', '--yes');
    assert.equal((await link()).status, 404);
    const again = await cli.json('detach', id, '--project', 'api', '--yes');
    assert.equal(again.unchanged, true);
  });

  it('gives out its token', async () => {
    assert.equal((await cli.json('token', id, '--subject', 'app')).token, 'k-life');
    assert.equal((await cli.json('token', id)).token, 'k-life');
    assert.equal((await cli.json('token', id, '--subject', 'app', '--no-default-scopes')).token, 'k-life');
    const { code, out } = await cli.run('token', 'crm.example.com/life', '--subject', 'app');
    assert.deepEqual([code, out.trim()], [0, 'k-life']);
  });

  it('is given other looks', async () => {
    const icon = path.join(cli.folder, 'other.png');
    writeFileSync(icon, png(700, 700));
    const updated = await cli.json('update', id, '--icon', icon, '--accent-color', '#0a84ff');
    assert.equal(updated.id, id);
    const row = await seen(id);
    assert.deepEqual([row.icon, row.accentColor], [sha1(png(700, 700)), '#0a84ff']);
  });

  it('opens somewhere', async () => {
    const { url } = await cli.json('open', id);
    assert.ok(url.endsWith(`/acme/~/connect/${id}`), url);
  });

  it('loses its tokens', async () => {
    const { id: lost } = await create('lost', 'oauth', CRM, '--format=json');
    for (const name of ['u1', 'u2']) {
      const body = { connector: lost, subject: { type: 'user', id: name }, access_token: `key-of-${name}` };
      const stored = await server.call('POST', '/api/v1/connections', { key: KEYS.admin, body });
      assert.equal(stored.status, 201, stored.text);
    }
    const { tokensFound, deleted, providerRevoked, providerSkipped, providerFailed } = await cli.json('revoke-tokens', lost, '--all-tokens', '--yes');
    assert.deepEqual({ tokensFound, deleted, providerRevoked, providerSkipped, providerFailed }, {
      tokensFound: 2, deleted: 2, providerRevoked: 0, providerSkipped: 2, providerFailed: 0,
    });
  });

  it('is removed, once nothing is attached or that is said to be fine', async () => {
    const kept = await cli.run('remove', id, '--yes', '--format=json');
    assert.notEqual(kept.code, 0);
    assert.match(kept.err, /1 .*project/);
    const removed = await cli.json('remove', id, '--disconnect-all', '--yes');
    assert.equal(removed.removed, true);
    assert.equal((await seen(id)).error.code, 'gone');
  });
});

describe('tokens', () => {
  const stored = async (body) => {
    const made = await server.call('POST', '/api/v1/connections', { key: KEYS.admin, body });
    assert.equal(made.status, 201, made.text);
  };
  const mine = (...more) => cli.run('token', ...more, '--yes', '--format=json');

  it('are those of who asks, and end alone', async () => {
    const { id } = await create('mine', 'oauth', CRM, '--format=json');
    for (const name of ['usr_alice', 'usr_bob'])
      await stored({ connector: id, subject: { type: 'user', id: name }, access_token: `of-${name}` });
    for (const subject of [[], ['--subject', 'user']])
      for (const [key, name] of [[KEYS.admin, 'usr_alice'], [KEYS.member, 'usr_bob']])
        assert.equal((await as(key).json('token', id, ...subject)).token, `of-${name}`, `${subject}`);
    const { tokensFound, deleted } = await cli.json('revoke-tokens', id, '--my-tokens', '--yes');
    assert.deepEqual([tokensFound, deleted], [1, 1]);
    assert.equal((await as(KEYS.member).json('token', id, '--subject', 'user')).token, 'of-usr_bob');
    const ended = await mine(id, '--subject', 'user');
    assert.notEqual(ended.code, 0);
    assert.match(ended.out + ended.err, /authoriz/i);
  });

  it('are those of the scopes that were asked for', async () => {
    const values = [{ value: 'k-read', scope: 'read' }, { value: 'k-write', scope: 'write' }];
    const { id } = await create('scoped', 'api-key', { values }, '--format=json');
    for (const scope of ['read', 'write'])
      assert.equal((await cli.json('token', id, '--subject', 'app', '--scopes', scope)).token, `k-${scope}`);
  });

  it('are those of one installation', async () => {
    const data = JSON.stringify({ appId: 'A1', appName: 'n', clientId: 'c', clientSecret: 's' });
    const { id } = await cli.json('create', 'slack', '--name', 'spaces', '--data', data);
    for (const space of ['T1', 'T2'])
      await stored({ connector: id, subject: { type: 'app' }, installation: space, access_token: `xoxb-${space}` });
    for (const space of ['T1', 'T2'])
      assert.equal((await cli.json('token', id, '--subject', 'app', '--installation-id', space)).token, `xoxb-${space}`);
    const none = await mine(id, '--subject', 'app', '--installation-id', 'T3');
    assert.notEqual(none.code, 0);
    assert.match(none.out + none.err, /install/i);
  });
});

describe('lists', () => {
  it('are of types and services, and go on', async () => {
    const made = [];
    for (const name of ['p1', 'p2', 'p3'])
      made.push((await cli.json('create', 'linq', '--name', name, '--data', '{"apiToken":"k"}')).id);
    const ids = async (...more) => (await cli.json('list', '--all-projects', ...more)).connectors.map(({ id }) => id);
    const ofType = await ids('--type', 'linq');
    assert.ok(made.every((id) => ofType.includes(id)));
    assert.deepEqual(await ids('--service', 'linq'), ofType);
    assert.deepEqual(await ids('--type', 'linq', '--service', 'notion'), []);
    const seen = [];
    let next;
    do {
      const page = await cli.json('list', '--all-projects', '--type', 'linq', '--limit', '2', ...(next ? ['--next', next] : []));
      assert.ok(page.connectors.length <= 2);
      seen.push(...page.connectors.map(({ id }) => id));
      next = page.cursor ?? page.pagination?.next;
    } while (next);
    assert.deepEqual(seen.toSorted(), ofType.toSorted());
  });
});

describe('triggers', () => {
  const rest = (method, route, body) => server.call(method, route, { key: KEYS.admin, body });
  const places = async (id) => (await seen(id)).triggerDestinations ?? [];

  it('are attached, and can be again when where they went is gone', async () => {
    const made = await rest('POST', '/api/v1/projects', { name: 'doomed' });
    assert.equal(made.status, 201, made.text);
    const data = JSON.stringify({ appId: 'A2', appName: 'n', clientId: 'c', clientSecret: 's' });
    const { id } = await cli.json('create', 'slack', '--name', 'events', '--data', data, '--triggers');
    const attach = (...more) => cli.json('attach', id, '-e', 'production', '--triggers', ...more, '--yes');
    await attach('--project', 'doomed', '--trigger-path', '/gone');
    await attach('--project', 'api', '--trigger-path', '/hook', '--trigger-environment', 'qa');
    const there = { projectId: 'prj_2', customEnvironmentId: 'env_qa', path: '/hook' };
    assert.deepEqual(await places(id), [{ projectId: made.body.id, path: '/gone' }, there]);
    assert.equal((await rest('DELETE', `/api/v1/projects/${made.body.id}`)).status, 204);
    assert.deepEqual(await places(id), [there]);
    await attach('--project', 'web', '--trigger-path', '/more', '--trigger-branch', 'main');
    assert.deepEqual(await places(id), [there, { projectId: PROJECT, branch: 'main', path: '/more' }]);
    assert.equal((await rest('DELETE', '/api/v1/projects/prj_2/environments/env_qa')).status, 200);
    assert.deepEqual(await places(id), [{ projectId: PROJECT, branch: 'main', path: '/more' }]);
  });
});

describe('who asks', () => {
  it('names the team by slug or id', async () => {
    for (const scope of ['acme', TEAM]) {
      const { connectors } = await as(KEYS.admin, scope).json('list', '--all-projects');
      assert.ok(connectors.length > 0);
    }
  });

  it('is a member, who may read and not make', async () => {
    const member = as(KEYS.member);
    assert.ok((await member.json('list', '--all-projects')).connectors.length > 0);
    const { code, err } = await member.run('create', 'crm.example.com', '--name', 'no', '--connector-type', 'api-key', '--data', '{"values":[{"value":"k"}]}');
    assert.notEqual(code, 0);
    assert.match(err, /role|permission|allowed/i);
  });

  it('is nobody, or a stranger to the team', async () => {
    for (const token of ['tok_nobody', KEYS.stranger]) {
      const { code, out } = await as(token).run('list', '--all-projects', '--format=json');
      assert.notEqual(code, 0, out);
      assert.doesNotMatch(out, /scl_/);
    }
  });
});
