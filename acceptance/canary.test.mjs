// Planted secrets: a whole life of a connection on a server that says as much as it can (trace log, every request,
// traces, metrics), and then every byte that it wrote or showed is searched for them.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { freePort, run, until } from './lib/process.mjs';
import { needsConsent, served, user } from './lib/provider-suite.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

/** What must be found nowhere but where it belongs: the planted text, by what it is. */
const planted = new Map();
const plant = (what) => {
  const secret = `canary-${what}-${randomBytes(18).toString('hex')}`;
  planted.set(`${what} ${planted.size}`, secret);
  return secret;
};

/** A text as it is, and as programs like to write it. */
function spellings(secret) {
  const bytes = Buffer.from(secret);
  // Of base64 only the groups whose letters do not depend on what stands before and after.
  const aligned = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64').replace(/=+$/, '');
    return text.slice(shift ? 4 : 0, -4);
  });
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...aligned,
    ...aligned.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

/** An authorization server whose every secret is planted, and which quotes them where it refuses. */
async function provider(client) {
  const grants = new Map();
  const issue = (refused) => {
    const refresh = plant('refresh');
    grants.set(refresh, { refused });
    return { access_token: plant('access'), refresh_token: refresh, token_type: 'Bearer', expires_in: 3 };
  };
  const moods = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const piece of request.setEncoding('utf8')) body += piece;
    const url = new URL(request.url, 'http://provider');
    const json = (status, value) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (url.pathname === '/authorize') {
      planted.set(`state ${planted.size}`, url.searchParams.get('state'));
      const back = new URL(url.searchParams.get('redirect_uri'));
      const code = plant('code');
      grants.set(code, { challenge: url.searchParams.get('code_challenge') });
      back.searchParams.set('code', code);
      back.searchParams.set('state', url.searchParams.get('state'));
      return response.writeHead(303, { location: back.href }).end();
    }
    const form = new URLSearchParams(body);
    if (url.pathname === '/revoke') return json(200, {});
    if (url.pathname !== '/token') return json(404, {});
    if (form.get('client_secret') !== client.secret) return json(401, { error: 'invalid_client' });
    const mood = moods.shift();
    // Whoever logs a provider's words must leave out of them what was presented to it.
    const quoted = `no: ${form} ${client.secret}`;
    if (mood === 'refuse') return json(400, { error: 'invalid_grant', error_description: quoted, error_uri: quoted });
    if (mood === 'break') return json(500, { error: quoted, message: quoted });
    if (mood === 'babble') return response.writeHead(200, { 'content-type': 'text/html' }).end(`<b>${quoted}</b>`);
    if (form.has('code_verifier')) {
      const verifier = form.get('code_verifier');
      planted.set(`verifier ${planted.size}`, verifier);
      const { challenge } = grants.get(form.get('code'));
      if (createHash('sha256').update(verifier).digest('base64url') !== challenge) return json(400, { error: 'invalid_grant' });
    }
    const grant = form.get('code') ?? form.get('refresh_token');
    return grants.has(grant) ? json(200, issue()) : json(400, { error: 'invalid_grant' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, moods, stop: () => (server.closeAllConnections(), server.close()) };
}

/** Keeps every byte that a collector of traces is sent. */
async function collector() {
  const kept = [];
  const server = http.createServer(async (request, response) => {
    kept.push(JSON.stringify(request.headers), request.url);
    for await (const piece of request) kept.push(piece.toString('latin1'));
    response.end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, kept, stop: () => (server.closeAllConnections(), server.close()) };
}

const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));

describe('planted secrets', () => {
  const client = { id: 'canary-client', secret: plant('client-secret') };
  const keys = { admin: plant('admin-key'), workload: plant('workload-key') };
  const stored = { value: plant('stored-secret'), api: plant('api-key-value'), access: plant('imported-access'), refresh: plant('imported-refresh') };
  const who = (id) => ({ ...user(id), key: keys.workload });
  /** What a caller without the right to a token was shown: answers, pages. */
  const shown = [];
  /** What lay in the data directory, while the server ran (with the write-ahead log) and after. */
  const files = [];
  let server, idp, traces, metrics, scraped;

  const read = () => {
    for (const file of filesBelow(server.dataDir)) files.push({ file, text: readFileSync(file, 'latin1') });
  };

  /** A call whose answer may hold no secret. */
  const ask = async (method, route, { key = keys.admin, body } = {}) => {
    const answer = await server.call(method, route, { key, body });
    shown.push(`${method} ${route}\n${answer.text}\n${[...answer.headers].join('\n')}`);
    return answer;
  };

  /** Consents as `id`, keeping each page; stops where `stop` says. */
  async function consent(id) {
    const started = await ask('POST', '/v1/connect/authorize/canary', {
      key: keys.workload,
      body: { subject: who(id).subject, scopes: ['*'], returnUrl: RETURN_URL },
    });
    const visitor = new Visitor();
    const { page } = await visitor.open(started.body.url);
    shown.push(page.html);
    const { arrived, page: last } = await visitor.press(page, { stopAt: RETURN_URL });
    if (last) shown.push(last.html, `${[...last.headers].join('\n')}`);
    return { arrived, last };
  }

  before(async () => {
    idp = await provider(client);
    traces = await collector();
    metrics = `127.0.0.1:${await freePort()}`;
    server = await Grantry.start(undefined, {
      config: `
[log]
requests = "all"
[refresh]
spacing = "1s"
`,
      env: {
        GRANTRY_LOG: 'trace',
        GRANTRY_METRICS_LISTEN: metrics,
        GRANTRY_TELEMETRY_OTLP_ENDPOINT: traces.url,
      },
    });
    const declared = world({
      services: [
        {
          id: 'canary-service', name: 'Canary', kind: 'oauth2',
          authorization_endpoint: `${idp.url}/authorize`, token_endpoint: `${idp.url}/token`, revocation_endpoint: `${idp.url}/revoke`,
        },
      ],
      connectors: [
        {
          id: 'scl_canary', uid: 'canary', team: TEAM, name: 'Canary', type: 'oauth', service: 'canary-service',
          data: { clientId: client.id, clientSecret: client.secret, tokenEndpointAuthMethod: 'client_secret_post', userAuthorization: { enabled: true } },
          links: [{ project: PROJECT, environments: ['production'] }],
        },
        {
          id: 'scl_value', uid: 'value', team: TEAM, name: 'Value', type: 'api-key', data: { values: [{ value: stored.api }] },
          links: [{ project: PROJECT, environments: ['production'] }],
        },
      ],
      keys: [
        { team: TEAM, user: 'usr_alice', level: 'team', role: 'admin', token: keys.admin },
        { team: TEAM, project: PROJECT, environment: 'production', level: 'team', token: keys.workload },
      ],
    });
    declared.secrets = [{ id: 'sec_1', team: TEAM, name: 'one', value: stored.value }];
    shown.push(await server.apply(declared), await server.apply({ ...declared, keys: declared.keys }));
    // The keys that the world has as well.
    for (const [what, key] of Object.entries(KEYS)) planted.set(`key ${what}`, key);
    for (const name of ['master.key', 'first-server-key']) {
      const file = path.join(server.dataDir, name);
      if (!existsSync(file)) continue;
      const [text] = readFileSync(file, 'utf8').trim().split('\n').at(-1).split(' ').slice(-1);
      planted.set(name, text);
      if (name === 'master.key') planted.set('master key bytes', Buffer.from(text, 'base64').toString('latin1'));
    }
  });
  after(async () => {
    await server?.stop();
    idp?.stop();
    traces?.stop();
  });

  it('live a whole life', async () => {
    const answers = async (id) => {
      const answer = await server.token('canary', who(id));
      assert.ok(answer.status !== 500, answer.text);
      // A token belongs into the answer of who may have it, and into no other.
      if (answer.status !== 200) shown.push(answer.text);
      return answer;
    };
    await needsConsent(server, 'canary', who('anna'));
    assert.ok((await consent('anna')).arrived);
    const first = await served(server, 'canary', who('anna'));
    assert.match(first.token, /^canary-access-/);
    await until(async () => (await served(server, 'canary', who('anna'))).token !== first.token, 'a refresh', 30);
    // A code that is refused, one whose answer is no answer.
    for (const mood of ['refuse', 'break', 'babble']) {
      idp.moods.push(mood, mood, mood);
      const { last } = await consent(`refused-${mood}`);
      idp.moods.length = 0;
      if (last) assert.ok(last.status < 600);
      await answers(`refused-${mood}`);
    }
    // Refreshes that end so.
    for (const mood of ['break', 'babble', 'refuse']) {
      const id = `refresh-${mood}`;
      assert.ok((await consent(id)).arrived);
      const { expiresAt } = await served(server, 'canary', who(id));
      idp.moods.push(mood, mood, mood);
      await until(() => Date.now() > expiresAt, 'the token ends');
      assert.notEqual((await answers(id)).status, 200);
      idp.moods.length = 0;
    }
    const imported = await ask('POST', '/api/v1/connections', {
      body: {
        connector: 'canary', subject: { type: 'user', id: 'imported' }, name: 'imported',
        access_token: stored.access, refresh_token: stored.refresh, expires_in: 3600,
      },
    });
    assert.equal(imported.status, 201, imported.text);
    assert.equal((await served(server, 'canary', who('imported'))).token, stored.access);
    assert.equal((await served(server, 'value', { key: keys.workload, subject: { type: 'app' } })).token, stored.api);

    // A key that the server makes is shown once, to who made it.
    const made = await server.call('POST', '/api/v1/keys', { key: keys.admin, body: { name: 'made', role: 'member' } });
    assert.equal(made.status, 201, made.text);
    planted.set('made key', made.body.key);
    const minted = await server.workloadToken(PROJECT, 'production');
    planted.set('workload token', minted);
    planted.set('workload token’s signature', minted.split('.')[2]);
    assert.equal((await server.token('value', { key: minted, subject: { type: 'app' } })).status, 200);

    // Secrets where they do not belong.
    for (const [key, route] of [
      [plant('unknown-key'), '/api/v1/connectors'],
      [`Bearer ${plant('twice')}`, '/api/v1/connectors'],
      [keys.admin, `/api/v1/connectors?search=${plant('query')}`],
      [keys.admin, `/no/such/${plant('path')}`],
      [keys.admin, `/callback?code=${plant('stray-code')}&state=${plant('stray-state')}`],
    ])
      await server.call('GET', route, { key });
    for (const [route, body] of [
      ['/api/v1/connections', { connector: 'canary', access_token: plant('misplaced-token'), expires_in: 'soon' }],
      ['/api/v1/connectors', { type: 'oauth', name: 'X', data: { clientSecret: plant('misplaced-secret') } }],
      ['/v1/connect/connectors', { type: 'oauth', name: 'X', uid: 'x', data: { clientId: 7, clientSecret: plant('misplaced-secret') } }],
      ['/api/v1/secrets', { name: '', value: plant('misplaced-value') }],
    ]) {
      const refused = await ask('POST', route, { body });
      assert.ok(refused.status >= 400 && refused.status < 500, `${route}: ${refused.status} ${refused.text}`);
    }
    const broken = await fetch(`${server.url}/api/v1/secrets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys.admin}`, 'content-type': 'application/json' },
      body: `{"name": "x", "value": "${plant('cut-body')}`,
    });
    shown.push(await broken.text());

    for (const route of [
      '/api/v1/connectors', '/api/v1/connectors/canary', '/api/v1/connectors/value', '/api/v1/connections', '/api/v1/authorizations',
      '/api/v1/secrets', '/api/v1/keys', '/api/v1/events?limit=100', '/api/v1/services', '/api/v1/openapi.json', '/docs',
      '/v1/connect/connectors', '/v1/connect/connectors/canary', '/v1/connect/connectors/value',
    ]) {
      const answer = await ask('GET', route);
      assert.equal(answer.status, 200, `${route} ${answer.text}`);
    }
    for (const line of [
      'connectors list --team acme --json', 'connectors show canary --team acme --json', 'connections list --team acme --json',
      'events list --team acme --json', 'keys list --team acme --json', 'secrets list --team acme --json',
      `doctor --config ${server.config} --listen ${server.address} --all --offline`, `config show --config ${server.config}`,
    ])
      shown.push(await server.command(...line.split(' ')));

    assert.equal((await ask('DELETE', '/v1/connect/connectors/canary/tokens', { body: { subject: who('anna').subject } })).status, 200);
    await needsConsent(server, 'canary', who('anna'));
    scraped = await (await fetch(`http://${metrics}/metrics`)).text();
    read();
    await server.stop();
    read();
  });

  const nowhere = (where, text) => {
    for (const [what, secret] of planted)
      for (const spelling of spellings(secret))
        assert.ok(!text.includes(spelling), `${what} is in ${where}: …${text.slice(Math.max(0, text.indexOf(spelling) - 300), text.indexOf(spelling))}…`);
  };

  it('are many', () => {
    assert.ok(planted.size > 40, `${planted.size}`);
    for (const what of ['client-secret', 'refresh', 'access', 'code', 'verifier', 'state', 'master.key', 'made key'])
      assert.ok([...planted.keys()].some((name) => name.startsWith(what)), what);
  });

  it('are found by this search where they are written', () => {
    const file = path.join(server.folder, 'leak');
    const secret = plant('leaked');
    for (const text of [secret, Buffer.from(`x${secret}y`).toString('base64'), Buffer.from(secret).toString('hex')]) {
      writeFileSync(file, `before ${text} after`);
      assert.throws(() => nowhere('a file', readFileSync(file, 'latin1')), /leaked/);
    }
    writeFileSync(file, '');
  });

  it('are in no line of the log, though it says much', () => {
    const log = server.child.output;
    assert.ok(log.includes('"level":"TRACE"'), 'the log is at its most talkative');
    assert.ok(log.includes('/v1/connect/token/{connector}'), 'requests are logged');
    nowhere('the log', log);
  });

  it('are in no trace and no metric', () => {
    assert.ok(traces.kept.join('').includes('provider request'));
    nowhere('the traces', traces.kept.join('\n'));
    assert.ok(scraped.includes('grantry_token_reads_total'));
    nowhere('the metrics', scraped);
  });

  it('are in no answer and on no page but those that are for them', () => {
    assert.ok(shown.length > 40, `${shown.length}`);
    assert.ok(shown.some((text) => text?.includes('<form')), 'consent pages were seen');
    for (const text of shown) nowhere('what was shown', text ?? '');
  });

  it('are in no file of the data directory but the two that hold a key', () => {
    for (const end of ['.db', '.db-wal']) assert.ok(files.some(({ file }) => file.endsWith(end)), end);
    for (const { file, text } of files) if (!/\/(master\.key|first-server-key)$/.test(file)) nowhere(file, text);
  });
});
