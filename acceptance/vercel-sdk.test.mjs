// npm @vercel/sdk, unmodified, with another base URL.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HTTPClient, Vercel } from '@vercel/sdk';
import { Vercel as VercelOfJuly } from 'vercel-sdk-1.28.8';
import { createServer } from 'node:http';
import { Grantry } from './lib/grantry.mjs';
import { jpeg, png, sha1 } from './lib/image.mjs';
import { KEYS, PROJECT as projectId, TEAM as teamId, world } from './lib/world.mjs';

let server;
const sent = [];
const projects = [{ id: 'prj_2', team: teamId, name: 'api', custom_environments: [{ id: 'env_qa', slug: 'qa' }] }];
before(async () => (server = await Grantry.start(world({ projects }))));
after(() => server?.stop());

/** Methods that were called, of every SDK. */
const called = new Set();
const watched = (connect) =>
  new Proxy(connect, {
    get(target, name) {
      if (typeof target[name] !== 'function') return target[name];
      called.add(name);
      return target[name].bind(target);
    },
  });

/** The SDK with a key; the URLs that it sends are kept. */
function sdk(bearerToken = KEYS.admin) {
  const httpClient = new HTTPClient({
    fetcher: (input, init) => {
      sent.push(input instanceof Request ? input.url : `${input}`);
      return fetch(input, init);
    },
  });
  return watched(new Vercel({ serverURL: server.url, bearerToken, httpClient }).connect);
}

const create = (fields) =>
  sdk().createConnector({
    teamId,
    connectCreateConnectorRequest: {
      type: 'oauth',
      name: 'Acme CRM',
      data: {
        clientId: 'cid',
        clientSecret: 'never-shown',
        serverConfig: {
          authorizationEndpoint: 'https://crm.example.com/authorize',
          tokenEndpoint: 'https://crm.example.com/token',
        },
        userAuthorization: { enabled: true },
      },
      ...fields,
    },
  });

const failsWith = (statusCode, code) => (error) => {
  assert.equal(error.name, 'ConnectError', `${error}`);
  assert.ok([statusCode].flat().includes(error.statusCode), `${error.statusCode} ${error.body}`);
  if (code) assert.equal(error.error.code, code);
  assert.ok(error.error.code && error.error.message);
  return true;
};

describe('a connector', () => {
  it('is created, and found by its id and by its uid, whose slash stays in one segment', async () => {
    const made = await create({ uid: 'oauth/found' });
    assert.match(made.id, /^scl_/);
    assert.deepEqual([made.uid, made.type, made.name], ['oauth/found', 'oauth', 'Acme CRM']);
    assert.ok(Math.abs(made.createdAt - Date.now()) < 60_000, `${made.createdAt}`);

    assert.equal((await sdk().getConnector({ teamId, connector: made.id })).uid, 'oauth/found');
    assert.equal((await sdk().getConnector({ teamId, connector: 'oauth/found' })).id, made.id);
    assert.match(sent.at(-1), /\/connectors\/oauth%2Ffound\?/);
  });

  it('never shows its secret', async () => {
    const made = await create({ uid: 'oauth/secret' });
    const seen = await server.call('GET', `/v1/connect/connectors/${made.id}`, { key: KEYS.admin });
    assert.equal(seen.status, 200);
    assert.doesNotMatch(seen.text + JSON.stringify(made), /never-shown/);
  });

  it('is linked to a project when it is created, in the environments asked for', async () => {
    const made = await create({ uid: 'oauth/born-linked', projectId, environments: ['production', 'production'] });
    const link = await sdk().getConnectorProjectConnection({ teamId, connector: made.id, projectId });
    assert.deepEqual(link.enabledEnvironments, ['production']);
  });

  it('is linked, linked otherwise, and unlinked', async () => {
    const { id: connector } = await create({ uid: 'oauth/linked' });
    for (const environments of [['production', 'preview'], ['development']]) {
      const link = await sdk().upsertConnectorProjectConnection({
        teamId,
        connector: 'oauth/linked',
        projectId,
        connectUpsertProjectConnectionRequest: { environments },
      });
      assert.deepEqual([link.connectorId, link.project.id], [connector, projectId]);
      assert.deepEqual([...link.enabledEnvironments].sort(), environments.sort());
    }
    const seen = await sdk().getConnectorProjectConnection({ teamId, connector, projectId });
    assert.deepEqual(seen.enabledEnvironments, ['development']);
    await sdk().deleteConnectorProjectConnection({ teamId, connector, projectId });
    await assert.rejects(sdk().getConnectorProjectConnection({ teamId, connector, projectId }), failsWith(404));
  });

  it('is gone once deleted, and its uid is free at once', async () => {
    const { id: connector } = await create({ uid: 'oauth/short-lived' });
    await sdk().deleteConnector({ teamId, connector: 'oauth/short-lived' });
    await assert.rejects(sdk().getConnector({ teamId, connector }), failsWith(410));
    assert.notEqual((await create({ uid: 'oauth/short-lived' })).id, connector);
  });

  // The SDK does not know `installation`, so it sends the whole `data` as it is, in its own spelling.
  it('has a server that is said in camelCase', async () => {
    const data = {
      clientId: 'cid',
      installation: { enabled: true, id: 'workspace_id' },
      serverConfig: {
        authorizationEndpoint: 'https://crm.example.com/authorize',
        tokenEndpoint: 'https://crm.example.com/token',
        jwks: { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', keyOps: ['verify'] }] },
      },
      userAuthorization: { enabled: true },
    };
    const { id } = await create({ name: 'camel', data });
    const { body } = await server.call('GET', `/v1/connect/connectors/${id}`, { key: KEYS.admin });
    assert.deepEqual(body.data.serverConfig, {
      authorization_endpoint: 'https://crm.example.com/authorize',
      token_endpoint: 'https://crm.example.com/token',
      jwks: { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', key_ops: ['verify'] }] },
    });
    for (const wrong of [{ tokenEndpiont: 'https://crm.example.com/t' }, { nonsense: 1 }])
      await assert.rejects(
        create({ name: 'wrong', data: { ...data, serverConfig: { ...data.serverConfig, ...wrong } } }),
        (error) => failsWith(400, 'bad_request')(error) && error.error.message.includes(`data.serverConfig.${Object.keys(wrong)[0]}`),
      );
  });
});

describe('what tokens can be asked for', () => {
  const shown = async (type, uid, data) => {
    await create({ type, name: uid, uid, data });
    const { appTokens, userTokens } = await sdk().getConnector({ teamId, connector: uid });
    return { app: appTokens, user: userTokens };
  };
  const plain = { crossInstallation: false, supportsRefinement: true };

  it('are the scopes of the connector, and not all that its server knows', async () => {
    const server = {
      authorizationEndpoint: 'https://crm.example.com/authorize',
      tokenEndpoint: 'https://crm.example.com/token',
      scopesSupported: ['a', 'b', 'z'],
    };
    const { app, user } = await shown('oauth', 'oauth/scoped', {
      clientId: 'cid',
      clientSecret: 's',
      serverConfig: server,
      userAuthorization: { enabled: true, scopes: ['a'] },
      clientCredentials: { enabled: true, scopes: ['b'] },
    });
    assert.deepEqual(app, { ...plain, scopes: ['b'], supportsResources: true });
    assert.deepEqual(user, { ...plain, scopes: ['a'], supportsResources: true });
    const { user: unscoped } = await shown('oauth', 'oauth/unscoped', { clientId: 'cid', clientSecret: 's', serverConfig: server });
    assert.deepEqual(unscoped, { ...plain, supportsResources: true });
  });

  it('are what the application of each service was made with', async () => {
    const slack = await shown('slack', 'slack/scoped', {
      appId: 'A1', appName: 'Bot', clientId: 'c', clientSecret: 's', botScopes: ['chat:write'], userScopes: ['search:read'],
    });
    assert.deepEqual(slack.app, { ...plain, scopes: ['chat:write'], requiresReinstallation: true });
    assert.deepEqual(slack.user, { ...plain, scopes: ['search:read'] });
    const linear = await shown('linear', 'linear/scoped', { clientId: 'c', clientSecret: 's', appScopes: ['write'], userScopes: ['read'] });
    assert.deepEqual([linear.app.scopes, linear.user.scopes], [['write'], ['read']]);
    const app = { appId: 1, appName: 'n', clientId: 'c', clientSecret: 's' };
    for (const [slug, owner, page] of [
      ['mine', { type: 'user', id: 1, slug: 'octocat' }, 'https://github.com/settings/apps/mine/permissions'],
      ['ours', { type: 'Organization', id: 2, slug: 'acme' }, 'https://github.com/organizations/acme/settings/apps/ours/permissions'],
      ['whose', undefined, undefined],
    ]) {
      const github = await shown('github', `github/${slug}`, { ...app, appSlug: slug, ...(owner && { owner }) });
      assert.equal(github.app.permissionsUrl, page);
      assert.deepEqual(github.app.supportedAuthorizationDetails, ['github_app_installation']);
      assert.deepEqual([github.app.scopes, github.app.supportsResources, github.app.requiresReinstallation], [undefined, undefined, undefined]);
      assert.deepEqual(github.user, plain);
    }
  });
});

describe('an update', () => {
  const update = (connector, connectUpdateConnectorRequest) =>
    sdk().updateConnector({ teamId, connector, connectUpdateConnectorRequest });

  it('changes every field by value and leaves the others alone', async () => {
    const { id: connector } = await create({ uid: 'oauth/before', events: ['a'] });
    const { connector: changed, ...rest } = await update('oauth/before', {
      name: '  After  ',
      uid: 'oauth/after',
      triggers: true,
      events: ['push', 'pull'],
      backgroundColor: '#0a84ff',
      accentColor: '#FFFFFF',
      data: { clientName: 'Shown', defaultTokenExpiresIn: 600 },
    });
    assert.deepEqual(rest, {});
    const seen = await sdk().getConnector({ teamId, connector });
    assert.deepEqual(seen, changed);
    for (const [name, value] of Object.entries({
      id: connector, uid: 'oauth/after', name: 'After', displayName: 'After', events: ['push', 'pull'],
      triggers: { enabled: true }, backgroundColor: '#0a84ff', accentColor: '#FFFFFF',
      updatedBy: { type: 'user', id: 'usr_alice' },
    }))
      assert.deepEqual(seen[name], value, name);
    assert.ok(seen.updatedAt >= seen.createdAt);
    const { body } = await server.call('GET', `/v1/connect/connectors/${connector}`, { key: KEYS.admin });
    assert.deepEqual([body.data.clientId, body.data.clientName, body.data.defaultTokenExpiresIn], ['cid', 'Shown', 600]);
    await assert.rejects(sdk().getConnector({ teamId, connector: 'oauth/before' }), failsWith(404));

    const cleared = await update(connector, { backgroundColor: '', triggers: false, data: { clientName: '' } });
    assert.equal(cleared.connector.backgroundColor, undefined);
    assert.equal(cleared.connector.triggers, undefined);
    const { body: now } = await server.call('GET', `/v1/connect/connectors/${connector}`, { key: KEYS.admin });
    assert.equal(now.data.clientName, undefined);
    assert.equal(now.data.clientId, 'cid');
  });

  it('says that users have to consent again once more is asked of them, if there are any', async () => {
    const { id: connector } = await create({ uid: 'oauth/more' });
    const asks = (...scopes) => update(connector, { data: { userAuthorization: { enabled: true, scopes } } });
    assert.equal((await asks('a')).reconsentNeeded, undefined, 'nobody has connected');
    const document = world({ projects, connections: [
      { team: teamId, connector, environment: 'production', subject: { type: 'user', id: 'u1' }, access_token: 'at' },
    ] });
    await server.apply(document);
    assert.deepEqual((await asks('a', 'b')).reconsentNeeded, { scope: 'user' });
    assert.equal((await asks('b')).reconsentNeeded, undefined, 'less is covered');
  });

  it('edits the values of an api-key connector one by one', async () => {
    const made = await create({ type: 'api-key', name: 'Keys', uid: 'keys/edited',
      data: { values: [{ value: 'k1', scope: 'read' }, { value: 'k2', scope: 'write' }], instructions: 'Paste it' } });
    const values = async () => {
      const { body } = await server.call('GET', `/v1/connect/connectors/${made.id}`, { key: KEYS.admin });
      return body.data.values;
    };
    const [first, second] = await values();
    const expiresAt = Date.now() + 3_600_000;
    await update(made.id, { data: {
      toDelete: [second.id], toUpdate: [{ id: first.id, value: 'k1-new', expiresAt }], toAdd: [{ value: 'k3', scope: 'admin' }],
      instructions: '',
    } });
    const after = await values();
    assert.deepEqual(after.map(({ scope, expiresAt }) => ({ scope, expiresAt })), [
      { scope: 'read', expiresAt }, { scope: 'admin', expiresAt: undefined },
    ]);
    assert.equal(after[0].id, first.id);
    const { body } = await server.call('GET', `/v1/connect/connectors/${made.id}`, { key: KEYS.admin });
    assert.equal(body.data.instructions, undefined);
    assert.doesNotMatch(JSON.stringify(body), /k1-new|k3/);
    await assert.rejects(update(made.id, { data: { toDelete: [second.id] } }), failsWith(400, 'bad_request'));
  });

  it('is refused whole, in the codes of the table', async () => {
    const { id: connector } = await create({ uid: 'oauth/steady' });
    await create({ uid: 'oauth/other' });
    for (const [status, code, fields, named] of [
      [409, 'conflict', { uid: 'oauth/other' }, 'uid'],
      [400, 'bad_request', { uid: 'a b' }, 'uid'],
      [400, 'bad_request', { name: ' ' }, 'name'],
      [400, 'bad_request', { accentColor: 'red', name: 'Lost' }, 'accentColor'],
      [400, 'bad_request', { icon: 'f'.repeat(40) }, 'icon'],
      [400, 'bad_request', { icon: 'nonsense' }, 'icon'],
      [400, 'bad_request', { data: { clientId: '' } }, 'data.clientId'],
    ])
      await assert.rejects(update(connector, fields), (error) => {
        assert.match(error.error.message, new RegExp(named.replace('.', '\\.')));
        return failsWith(status, code)(error);
      });
    const seen = await sdk().getConnector({ teamId, connector });
    assert.deepEqual([seen.uid, seen.name], ['oauth/steady', 'Acme CRM']);
    await assert.rejects(
      sdk(KEYS.member).updateConnector({ teamId, connector, connectUpdateConnectorRequest: { name: 'x' } }),
      failsWith(403, 'forbidden'),
    );
  });
});

describe('an icon', () => {
  const upload = (content, headers) =>
    fetch(`${server.url}/v2/files?teamId=${teamId}`, {
      method: 'POST',
      body: content,
      headers: { authorization: `Bearer ${KEYS.admin}`, 'content-type': 'application/octet-stream', ...headers },
    });

  it('is uploaded, set, seen by anybody, and cleared', async () => {
    const { id: connector } = await create({ uid: 'oauth/iconic' });
    for (const [image, type] of [[png(640, 640), 'image/png'], [jpeg(800, 640), 'image/jpeg']]) {
      const icon = sha1(image);
      const answer = await upload(image, { 'x-vercel-digest': icon });
      assert.equal(answer.status, 200, await answer.clone().text());
      const { url, digest } = await answer.json();
      assert.equal(digest, icon);
      const changed = await sdk().updateConnector({ teamId, connector, connectUpdateConnectorRequest: { icon } });
      assert.equal(changed.connector.icon, icon);
      const shown = await fetch(url);
      assert.equal(shown.status, 200);
      assert.equal(shown.headers.get('content-type'), type);
      assert.equal(shown.headers.get('x-content-type-options'), 'nosniff');
      assert.deepEqual(Buffer.from(await shown.arrayBuffer()), image);
    }
    const { connector: bare } = await sdk().updateConnector({ teamId, connector, connectUpdateConnectorRequest: { icon: '' } });
    assert.equal(bare.icon, undefined);
    assert.equal((await fetch(`${server.url}/icons/team_2/${sha1(png(640, 640))}`)).status, 404);
  });

  it('is what it says it is', async () => {
    const good = png(640, 640);
    for (const [what, content, digest, named] of [
      ['another digest', good, sha1(Buffer.from('x')), 'x-vercel-digest'],
      ['no image', Buffer.from('<svg/>'), sha1(Buffer.from('<svg/>')), 'body'],
      ['too small', png(639, 640), sha1(png(639, 640)), '639'],
      ['too large', png(640, 5000), sha1(png(640, 5000)), '5000'],
      ['cut short', good.subarray(0, 14), sha1(good.subarray(0, 14)), 'body'],
    ]) {
      const answer = await upload(content, { 'x-vercel-digest': digest });
      const text = await answer.text();
      assert.equal(answer.status, 400, `${what}: ${text}`);
      assert.match(JSON.parse(text).error.message, new RegExp(named), what);
    }
    assert.equal((await upload(good)).status, 400, 'no digest');
    const large = Buffer.concat([good, Buffer.alloc(5 * 1024 * 1024)]);
    assert.equal((await upload(large, { 'x-vercel-digest': sha1(large) })).status, 413);
    const member = await upload(good, { 'x-vercel-digest': sha1(good), authorization: `Bearer ${KEYS.member}` });
    assert.equal(member.status, 403);
  });

  it('is fetched from a URL, once, and kept', async () => {
    const image = png(700, 700);
    const seen = [];
    const host = createServer((request, answer) => {
      seen.push(request.url);
      if (request.url === '/moved.png') return answer.writeHead(302, { location: '/icon.png' }).end();
      if (request.url === '/none.png') return answer.writeHead(404).end();
      answer.end(request.url === '/page.html' ? '<html>' : image);
    });
    await new Promise((done) => host.listen(0, '127.0.0.1', done));
    try {
      const at = (path) => `http://127.0.0.1:${host.address().port}${path}`;
      const made = await create({ uid: 'oauth/fetched', icon: at('/moved.png'), accentColor: '#112233' });
      assert.deepEqual([made.icon, made.accentColor], [sha1(image), '#112233']);
      assert.deepEqual(seen, ['/moved.png', '/icon.png']);
      const shown = await fetch(`${server.url}/icons/${teamId}/${made.icon}`);
      assert.deepEqual(Buffer.from(await shown.arrayBuffer()), image);
      assert.equal(seen.length, 2, 'nobody asks there again');
      for (const path of ['/none.png', '/page.html'])
        await assert.rejects(create({ uid: 'oauth/unfetched', icon: at(path) }), failsWith(400, 'bad_request'));
      await assert.rejects(sdk().getConnector({ teamId, connector: 'oauth/unfetched' }), failsWith(404));
      await assert.rejects(create({ uid: 'oauth/inside', icon: 'http://169.254.169.254/icon.png' }), failsWith(400));
    } finally {
      host.close();
    }
  });
});

describe('lists', () => {
  const names = ['Lima', 'alpha', 'Echo', 'Delta', 'Bravo', 'Echo', 'Kilo'];
  const of = async (request) => {
    const found = [];
    for (let cursor; ; ) {
      const page = await sdk().listConnectors({ teamId, search: 'oauth/listed', limit: 2, ...request, ...(cursor && { cursor }) });
      assert.ok(page.connectors.length <= 2);
      found.push(...page.connectors);
      cursor = page.pagination.next;
      if (!cursor) return found;
    }
  };
  before(async () => {
    for (const [at, name] of names.entries())
      await create({ uid: `oauth/listed-${at}`, name, ...(at % 2 && { projectId: 'prj_2', environments: ['env_qa'] }) });
    await sdk().updateConnector({ teamId, connector: 'oauth/listed-2', connectUpdateConnectorRequest: { accentColor: '#000000' } });
  });

  it('go page by page in every order, each row once', async () => {
    assert.deepEqual((await of({ sort: 'name' })).map(({ name }) => name), names.toSorted());
    const made = (rows) => rows.map(({ uid }) => uid.at(-1)).join('');
    assert.equal(made(await of({ sort: 'createdAt' })), '6543210');
    assert.equal(made(await of({})), '6543210');
    assert.equal(made(await of({ sort: 'updatedAt' })), '2654310');
  });

  it('are filtered by project, type, service and text', async () => {
    assert.equal((await of({ projectId: 'prj_2' })).length, 3);
    assert.equal((await of({ projectId: 'api', sort: 'name' })).length, 3, 'by its name');
    assert.equal((await of({ type: 'oauth,api-key', service: 'crm.example.com,slack' })).length, names.length);
    assert.equal((await of({ type: 'slack' })).length, 0);
    assert.equal((await of({ service: 'nowhere.example' })).length, 0);
    assert.deepEqual((await of({ search: 'LISTED-3' })).map(({ name }) => name), ['Delta']);
  });

  it('do not lose their place when a row comes or goes', async () => {
    const first = await sdk().listConnectors({ teamId, search: 'oauth/listed', limit: 3, sort: 'name' });
    await create({ uid: 'oauth/listed-first', name: 'Aaa' });
    await sdk().deleteConnector({ teamId, connector: first.connectors[2].id });
    const second = await sdk().listConnectors({ teamId, search: 'oauth/listed', limit: 3, sort: 'name', cursor: first.pagination.next });
    assert.deepEqual(second.connectors.map(({ name }) => name), names.toSorted().slice(3, 6));
  });

  it('refuse what they do not know', async () => {
    for (const query of ['sort=size', 'limit=0', 'limit=1001', 'cursor=!', 'include=secrets']) {
      const { status, body } = await server.call('GET', `/v2/connect/connectors?${query}`, { key: KEYS.admin });
      assert.equal(status, 400, query);
      assert.match(body.error.message, new RegExp(query.split('=')[0]));
    }
  });

  it('of links page through projects and through connectors', async () => {
    const { id: connector } = await create({ uid: 'oauth/many' });
    for (const project of [projectId, 'prj_2'])
      await sdk().upsertConnectorProjectConnection({
        teamId, connector, projectId: project, connectUpsertProjectConnectionRequest: { environments: ['preview'] },
      });
    const first = await sdk().listConnectorProjectConnections({ teamId, connector, limit: 1 });
    assert.deepEqual(first.projects.map(({ project }) => project.name), ['web']);
    const second = await sdk().listConnectorProjectConnections({ teamId, connector, limit: 1, cursor: first.pagination.next });
    assert.deepEqual(second.projects[0].project, { id: 'prj_2', name: 'api', customEnvironments: [{ id: 'env_qa', slug: 'qa' }] });
    assert.deepEqual(second.projects[0].enabledEnvironments, ['preview']);
    assert.equal(second.pagination.next, null);

    const all = [];
    for (let cursor; ; ) {
      const page = await sdk().listProjectConnectorConnections({ teamId, projectId: 'api', limit: 2, ...(cursor && { cursor }) });
      all.push(...page.connectors);
      cursor = page.pagination.next;
      if (!cursor) break;
    }
    assert.ok(all.some((link) => link.connectorId === connector));
    assert.equal(new Set(all.map((link) => link.connectorId)).size, all.length);
    assert.ok(all.length >= 3);

    const { body } = await server.call('GET', '/v1/connect/connectors?include=projects&search=oauth/many', { key: KEYS.admin });
    const [{ includes }] = body.clients;
    assert.deepEqual(includes.projects.items.map(({ project, environments }) => [project.id, project.name, environments]), [
      ['prj_1', 'web', ['preview']], ['prj_2', 'api', ['preview']],
    ]);
    assert.deepEqual([includes.projects.hasMore, includes.projects.cursor], [false, null]);
    const { body: v1 } = await server.call('GET', `/v1/connect/connectors/${connector}/projects`, { key: KEYS.admin });
    assert.deepEqual(v1.projects.map(({ projectId, environments }) => [projectId, environments]), [['prj_1', ['preview']], ['prj_2', ['preview']]]);
  });

  it('tell a hundred links of a connector, and where the next one is', async () => {
    const crowd = Array.from({ length: 101 }, (_, n) => ({ id: `prj_crowd_${100 + n}`, team: teamId, name: `crowd-${n}` }));
    const ids = crowd.map(({ id }) => id);
    const links = ids.map((project) => ({ project, environments: ['production'] }));
    const connector = { id: 'scl_crowd', uid: 'keys/crowd', team: teamId, name: 'Crowd', type: 'api-key', data: { values: [{ value: 'k' }] }, links };
    await server.apply(world({ projects: [...projects, ...crowd], connectors: [connector] }));
    const { body } = await server.call('GET', '/v1/connect/connectors?include=projects&search=keys/crowd', { key: KEYS.admin });
    const { items, hasMore, cursor } = body.clients[0].includes.projects;
    assert.deepEqual([items.map(({ project }) => project.id), hasMore], [ids.slice(0, 100), true]);
    const { body: rest } = await server.call('GET', `/v1/connect/connectors/scl_crowd/projects?cursor=${cursor}`, { key: KEYS.admin });
    assert.deepEqual([rest.projects.map((link) => link.projectId), rest.cursor], [ids.slice(100), undefined]);
  });
});

describe('trigger destinations', () => {
  const replace = (connector, destinations) =>
    sdk().replaceConnectorTriggerDestinations({ teamId, connector, connectReplaceTriggerDestinationsRequest: { destinations } });
  const environments = async (connector, project) => {
    const link = await sdk().getConnectorProjectConnection({ teamId, connector, projectId: project });
    return link.enabledEnvironments;
  };

  it('are replaced as a whole, and enable their environments', async () => {
    const { id: connector } = await create({ uid: 'oauth/events', projectId, environments: ['development'] });
    const wanted = [
      { projectId, path: '/hook' },
      { projectId, branch: 'main' },
      { projectId: 'prj_2', customEnvironmentId: 'env_qa', path: '/qa' },
    ];
    assert.deepEqual((await replace(connector, wanted)).triggerDestinations, wanted);
    assert.deepEqual(await environments(connector, projectId), ['development', 'production', 'preview']);
    assert.deepEqual(await environments(connector, 'prj_2'), ['env_qa']);
    assert.deepEqual((await replace(connector, [])).triggerDestinations ?? [], []);
    assert.deepEqual(await environments(connector, 'prj_2'), ['env_qa'], 'links stay');
    const { body } = await server.call('POST', `/v1/connect/token/${connector}`, { key: KEYS.workload, body: { subject: { type: 'user', id: 'u' } } });
    assert.equal(body.error.code, 'user_authorization_required', 'the workload in production is let in');
  });

  it('come with a new connector, too', async () => {
    const made = await create({ uid: 'oauth/born-with', projectId, environments: ['development'], triggers: true,
      triggerDestination: { customEnvironmentId: 'env_qa', projectId: 'prj_2' } });
    assert.deepEqual(made.triggerDestinations, [{ projectId: 'prj_2', customEnvironmentId: 'env_qa' }]);
    assert.deepEqual(await environments(made.id, 'prj_2'), ['env_qa']);
    await assert.rejects(
      create({ uid: 'oauth/unborn', triggers: true, triggerDestination: { projectId: 'prj_none' } }),
      failsWith(400, 'bad_request'),
    );
  });

  it('are at most three, of the team, one target each', async () => {
    const { id: connector } = await create({ uid: 'oauth/crowded' });
    const call = (destinations) =>
      server.call('PATCH', `/v1/connect/connectors/${connector}/trigger-destinations`, { key: KEYS.admin, body: { destinations } });
    for (const [destinations, named] of [
      [[1, 2, 3, 4].map((at) => ({ projectId, path: `/${at}` })), 'destinations'],
      [[{ projectId: 'prj_none' }], 'destinations[0]'],
      [[{ projectId }, { projectId }], 'destinations[1]'],
      [[{ path: '/x' }], 'destinations[0].projectId'],
      [[{ projectId, branch: 'b', customEnvironmentId: 'env_qa' }], 'destinations[0].branch'],
      [[{ projectId, customEnvironmentId: 'env_qa' }], 'destinations[0]'],
      [[{ projectId, path: 'x' }], 'destinations[0]'],
      [[{ projectId, path: `/${'x'.repeat(2048)}` }], 'destinations[0]'],
      ['all', 'destinations'],
    ]) {
      const { status, body } = await call(destinations);
      assert.equal(status, 400, JSON.stringify(destinations));
      assert.ok(body.error.message.includes(named), `${named}: ${body.error.message}`);
    }
    const seen = await sdk().getConnector({ teamId, connector });
    assert.equal(seen.triggerDestinations, undefined);
    await assert.rejects(environments(connector, projectId), failsWith(404), 'nothing was linked');
  });
});

describe('who made and changed it', () => {
  it('is told as the person', async () => {
    const made = await create({ uid: 'oauth/authored' });
    assert.deepEqual([made.createdBy, made.updatedBy], Array(2).fill({ type: 'user', id: 'usr_alice' }));
    assert.deepEqual([made.typeName, made.supportsIcon, made.supportedSubjectTypes], ['OAuth', 'false', ['user']]);
    const plain = await server.call('GET', `/v1/connect/connectors/${made.id}`, { key: KEYS.admin });
    assert.equal(plain.body.supportsIcon, false, 'the documented boolean for everybody but the SDK');
  });
});

describe('a deleted connector', () => {
  it('is gone, not missing, for its own team and on every call', async () => {
    const { id: connector } = await create({ uid: 'oauth/ended', projectId });
    await sdk().deleteConnector({ teamId, connector });
    const [subject, expiresAt] = [{ type: 'user', id: 'u1' }, Date.now() + 3_600_000];
    const route = `/v1/connect/connectors/${connector}`;
    for (const [method, path, body] of [
      ['GET', route],
      ['DELETE', route],
      ['PATCH', route, { name: 'x' }],
      ['PATCH', route.replace('v1', 'v2'), { name: 'x' }],
      ['PATCH', `${route}/trigger-destinations`, { destinations: [] }],
      ['GET', `${route}/projects`],
      ['GET', `${route.replace('v1', 'v2')}/projects`],
      ['GET', `${route}/projects/${projectId}`],
      ['POST', `${route}/projects/${projectId}`, { environments: ['production'] }],
      ['DELETE', `${route}/projects/${projectId}`],
      ['DELETE', `${route}/tokens`, { subject }],
      ['POST', `${route}/contacts`, { phoneNumber: '+12025551234' }],
      ['POST', `/v1/connect/token/${connector}`, { subject }],
      ['POST', `/v1/connect/token/${connector}/import`, { tokens: [{ accessToken: 'at', expiresAt, environment: 'production', subject }] }],
      ['POST', `/v1/connect/install/${connector}`, {}],
      ['POST', `/v1/connect/authorize/${connector}`, { subject }],
    ]) {
      const gone = await server.call(method, path, { key: KEYS.admin, body });
      assert.deepEqual([gone.status, gone.body?.error?.code], [410, 'gone'], `${method} ${path}: ${gone.text}`);
      const hidden = await server.call(method, path, { key: KEYS.stranger, body });
      assert.deepEqual([hidden.status, hidden.body?.error?.code], [404, 'not_found'], `${method} ${path}: ${hidden.text}`);
    }
    const page = await sdk().listConnectors({ teamId, search: 'oauth/ended' });
    assert.equal(page.connectors.length, 0);
  });
});

describe('the SDK of July, which still had tokens', () => {
  const july = (bearerToken = KEYS.admin) => watched(new VercelOfJuly({ serverURL: server.url, bearerToken }).connect);

  it('makes a connector, asks for its token, and starts a consent', async () => {
    const made = await july().createConnector({
      type: 'api-key', name: 'July', uid: 'keys/july', projectId, data: { values: [{ value: 'k-july' }] },
    });
    assert.match(made.id, /^scl_/);
    const served = await july(KEYS.workload).getConnectorToken({ connector: 'keys/july', requestBody: { subject: { type: 'app' } } });
    assert.equal(served.token, 'k-july');
    // It has no name for an end that nobody knows.
    const left = served.expiresAt - Date.now();
    assert.ok(left > 3_500_000 && left <= 3_600_000, `${left}`);
    await create({ uid: 'oauth/july', projectId });
    const asked = await july(KEYS.workload).createConnectorAuthorizationRequest({
      connector: 'oauth/july', requestBody: { subject: { type: 'user', id: 'u1' } },
    });
    assert.ok(asked.url.startsWith(server.url) && asked.verifier && asked.request);
    assert.equal(asked.connector.uid, 'oauth/july');
  });
});

describe('a refusal is a ConnectError with a code', () => {
  let connector;
  before(async () => ({ id: connector } = await create({ uid: 'oauth/taken' })));

  const REFUSED = {
    'a uid that is taken': [409, 'conflict', () => create({ uid: 'oauth/taken' })],
    'a connector that never was': [404, 'not_found', () => sdk().getConnector({ teamId, connector: 'scl_none' })],
    'an unknown key': [401, 'unauthorized', () => sdk('tok_nobody').getConnector({ teamId, connector })],
    "another team's connector": [404, 'not_found', () => sdk(KEYS.stranger).getConnector({ teamId: 'team_2', connector })],
    "another team's key": [[403, 404], , () => sdk(KEYS.stranger).getConnector({ teamId, connector })],
    'a key that may only read tokens': [403, 'forbidden', () => sdk(KEYS.tokenOnly).deleteConnector({ teamId, connector })],
    'a member who deletes': [403, 'forbidden', () => sdk(KEYS.member).deleteConnector({ teamId, connector })],
    'a uid with white space': [400, 'bad_request', () => create({ uid: 'oauth/a b' })],
    'a reserved uid': [400, 'bad_request', () => create({ uid: 'vc/acme' })],
    'a project that is not there': [404, 'not_found', () => create({ uid: 'oauth/lost', projectId: 'prj_none' })],
  };
  for (const [what, [status, code, act]] of Object.entries(REFUSED))
    it(what, () => assert.rejects(act, failsWith(status, code)));
});

it('every method that the SDK has was called', () => {
  const all = Object.getOwnPropertyNames(Object.getPrototypeOf(new Vercel({ bearerToken: 'x' }).connect));
  assert.deepEqual(all.filter((name) => name !== 'constructor' && !called.has(name)), []);
  assert.ok(all.length > 10);
});
