// Measures Grantry beside its limits, taking turns in one run, and prints ratios (design §11), on the embedded
// database and on a PostgreSQL of its own (fsync on). Nothing is asserted here: the reader compares with the budgets.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Cluster } from '../lib/cluster.mjs';
import { Emulator, GITHUB_KEY } from '../lib/emulate.mjs';
import { Grantry } from '../lib/grantry.mjs';
import { Child, run, temporaryFolder } from '../lib/process.mjs';
import { KEYS, PROJECT, TEAM, world } from '../lib/world.mjs';

const SECONDS = Number(process.env.SECONDS ?? 15);
/** For what is measured several times over; wrk takes whole seconds only. */
const FEWER_SECONDS = Math.ceil(SECONDS / 3);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
/** The rival's rates (Nango, on a machine of this class): a list of 100 connections, an import of one. */
const RIVAL = { list: 467, import: 356 };
const ROWS = 10_000;
const COLD = 100_000;
const examples = process.env.EXAMPLES;
const folder = temporaryFolder('bench');

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const kilo = (number) => Math.round(number).toLocaleString('en');
const say = (what, text) => console.log(`${what.padEnd(22)} ${text}`);

/** `wrk -t1 -c16`, a GET without a body: requests per second, how many, 99th percentile in ms. */
async function wrk(url, key, body, seconds = SECONDS) {
  const printed = await run(
    'wrk',
    ['-t1', '-c16', `-d${seconds}s`, '--latency', '-s', path.join(import.meta.dirname, 'request.lua'), url],
    { env: { KEY: key, BODY: body ? JSON.stringify(body) : '' } },
  );
  const [, requests, duration, errors, p99] = printed.match(/^RESULT (\S+) (\S+) (\S+) (\S+)$/m).map(Number);
  if (errors) throw new Error(`${errors} of ${requests} requests failed at ${url}`);
  return { rate: requests / duration, requests, p99 };
}

/** CPU seconds and resident MiB of a process. */
function usage(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    cpu: (Number(stat[11]) + Number(stat[12])) / 100,
    resident: Number(status.match(/VmRSS:\s+(\d+)/)[1]) / 1024,
  };
}

const subject = { type: 'user', id: 'u1' };
const connector = {
  id: 'scl_bench',
  uid: 'oauth/bench',
  team: TEAM,
  name: 'Bench',
  type: 'oauth',
  data: {
    clientId: 'cid',
    clientSecret: 'secret',
    serverConfig: { authorization_endpoint: 'https://p.example.com/a', token_endpoint: 'https://p.example.com/t' },
    userAuthorization: { enabled: true },
  },
  links: [{ project: PROJECT, environments: ['production'] }],
};
const connection = (id, who) => ({
  id,
  connector: connector.id,
  environment: 'production',
  subject: who,
  name: 'Bench connection',
  access_token: 'a'.repeat(256),
  refresh_token: 'r'.repeat(128),
  expires_in: 86_400,
});

/** A server with one connection, measured with `env`. */
const start = (databaseUrl, env, config) =>
  Grantry.start(world({ connectors: [connector], connections: [connection('conn_bench', subject)] }), { databaseUrl, env, config });

/** Without Datagrid's rate limit, and without Cohere's question to an endpoint that is not there. */
const UNBOUND = '\n[limits]\ndatagrid_requests_per_minute = 0\n[search]\nprobe = false\n';

/** The warm token read beside a handler that returns the same bytes. */
async function reads(server) {
  const read = { subject, scopes: ['*'] };
  const sample = await server.token(connector.id, { key: KEYS.workload, subject });
  if (sample.status !== 200) throw new Error(sample.text);
  const bodyFile = path.join(folder, 'answer.json');
  writeFileSync(bodyFile, sample.text);
  const limit = new Child(path.join(examples, 'limit_server'), [bodyFile]);
  const [, limitUrl] = await limit.until(() => limit.output.match(/^ready (\S+)$/m));
  const route = `/v1/connect/token/${connector.id}`;
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const bare = await wrk(limitUrl + route, KEYS.workload, read);
    const before = usage(server.child.process.pid);
    const ours = await wrk(server.url + route, KEYS.workload, read);
    const after = usage(server.child.process.pid);
    rounds.push({ bare, ours, cpu: (after.cpu - before.cpu) / ours.requests, resident: after.resident });
  }
  await limit.stop();
  const of = (pick) => median(rounds.map(pick));
  say('warm token read', `${kilo(of(({ ours }) => ours.rate))}/s, bare handler ${kilo(of(({ bare }) => bare.rate))}/s`);
  say('  ratio', `${of(({ ours, bare }) => ours.rate / bare.rate).toFixed(2)}   (budget 0.60)`);
  say('  p99', `${of(({ ours }) => ours.p99).toFixed(2)} ms   (budget 5), bare ${of(({ bare }) => bare.p99).toFixed(2)} ms`);
  say('  CPU', `${(of(({ cpu }) => cpu) * 1e6).toFixed(0)} µs per read`);
  say('  resident', `${Math.max(...rounds.map(({ resident }) => resident)).toFixed(0)} MiB   (budget 60)`);
}

/** A durable write; on SQLite beside the bare group commit of rows as large as what one write adds. */
async function writes(server, what, url, body, rival) {
  /** Bytes of the database once everything is in its one file; the server goes on after it. */
  const stored = async () => {
    await server.stop();
    const { size } = statSync(path.join(server.dataDir, 'grantry.db'));
    await server.serve();
    return size;
  };
  const empty = server.databaseUrl ? 0 : await stored();
  const written = await wrk(server.url + url, KEYS.admin, body);
  say(what, `${kilo(written.rate)}/s, p99 ${written.p99.toFixed(1)} ms${rival ? `, ${(written.rate / rival).toFixed(1)} × the rival's ${rival}/s` : ''}`);
  if (server.databaseUrl) return written.requests;
  const bytes = ((await stored()) - empty) / written.requests;
  const file = path.join(folder, `${what.replaceAll(' ', '-')}.db`);
  const bare = Number(await run(path.join(examples, 'limit_sqlite'), [file, `${Math.round(bytes)}`, `${SECONDS}`]));
  say('  ratio', `${(written.rate / bare).toFixed(2)}   (budget 0.50), bare group commit of ${kilo(bytes)} bytes ${kilo(bare)}/s`);
  return written.requests;
}

/** `ROWS` declared rows, connections for the most part, applied as an operator does; `from` keeps them apart. */
async function applied(server, rows, from = 0) {
  const connections = Array.from({ length: rows }, (_, n) => connection(`conn_apply_${from + n}`, { type: 'user', id: `apply-${from + n}` }));
  const began = performance.now();
  await server.apply({ connections: connections.map((row) => ({ team: TEAM, ...row })) });
  return (performance.now() - began) / 1000;
}

/** Until the server is ready, and what it then holds. */
async function starts(server, count) {
  const times = [];
  let resident;
  for (let start = 0; start < 5; start++) {
    await server.stop();
    const from = performance.now();
    await server.serve();
    times.push(performance.now() - from);
    ({ resident } = usage(server.child.process.pid));
  }
  say(`start, ${kilo(count)} conn.`, `${median(times).toFixed(0)} ms   (budget 100 empty, 1,000 with a million), resident ${resident.toFixed(0)} MiB (budget 60, 150)`);
}

/**
 * Making and listing connectors in each dialect, taking turns with the native call that does the same. A ratio of 1 is no
 * cost at all; a dialect may cost 15 % (0.85).
 */
async function dialects(server) {
  const [data, oauth] = [{ clientId: 'cid', clientSecret: 'secret' }, { client_id: 'cid', client_secret: 'secret' }];
  const calls = {
    native: {
      create: ['/api/v1/connectors', { type: 'oauth', name: 'Bench', uid: 'native/$N', service: 'stripe', data }],
      list: '/api/v1/connectors?limit=100',
    },
    vercel: {
      create: [
        `/v1/connect/connectors?teamId=${TEAM}`,
        { type: 'oauth', name: 'Bench', uid: 'vercel/$N', service: 'stripe', data },
      ],
      list: `/v1/connect/connectors?teamId=${TEAM}&limit=100`,
    },
    sequin: {
      create: ['/sequin/v1/oauth-apps', { provider: 'stripe', name: 'Bench $N', ...oauth }],
      list: '/sequin/v1/oauth-apps',
    },
    datagrid: {
      create: ['/datagrid/v1/connection-providers', { connector_id: 'stripe', name: 'Bench $N', ...oauth }],
      list: '/datagrid/v1/connection-providers?limit=100',
    },
    cohere: {
      create: ['/cohere/v1/connectors', { name: 'Bench $N', url: 'https://search.example.com/search', service_auth: { type: 'bearer', token: 'token' } }],
      list: '/cohere/v1/connectors?limit=100',
    },
  };
  // A dialect without pages lists everything: all are asked while there are a hundred.
  for (let number = 0; number < 100; number++)
    await server.call('POST', calls.native.create[0], { key: KEYS.admin, body: { ...calls.native.create[1], uid: `first/${number}` } });
  for (const what of ['list', 'create']) {
    const rates = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [name, call] of Object.entries(calls)) {
        const [route, body] = [call[what]].flat();
        rates[name].push((await wrk(server.url + route, KEYS.admin, body && unique(body, round), FEWER_SECONDS)).rate);
      }
    const native = median(rates.native);
    for (const [name, of] of Object.entries(rates))
      say(`${what}, ${name}`, `${kilo(median(of))}/s${name === 'native' ? '' : `, ${(median(of) / native).toFixed(2)} of the native call (goal 0.85)`}`);
  }
}

/** The same body in another round: what has to be unique is. */
const unique = (body, round) => ({ ...body, ...(body.uid && { uid: `${round}/${body.uid}` }) });

/**
 * Pages of a team with ten thousand connectors, one after the other: in every order, filtered, and far behind; in both
 * versions of the list, with links told too, and of the links of a project that has a third of them.
 */
async function pages(server) {
  const many = Array.from({ length: ROWS }, (_, n) => ({
    ...connector,
    id: `scl_page_${n}`,
    uid: `${n % 2 ? 'crm' : 'wiki'}/page-${n}`,
    name: `Connector ${(n * 7919) % ROWS}`,
    service: n % 2 ? 'crm' : 'wiki',
    links: n % 3 ? [] : connector.links,
  }));
  await server.apply({ connectors: many });
  const ask = async (route) => {
    const began = performance.now();
    const { status, text, body } = await server.call('GET', route, { key: KEYS.admin });
    if (status !== 200) throw new Error(text);
    return { ms: performance.now() - began, next: body.pagination ? body.pagination.next : body.cursor };
  };
  const queries = ['', 'sort=name', 'sort=updatedAt', `projectId=${PROJECT}`, 'type=oauth&service=crm', 'search=page-99', 'search=nowhere'];
  const lists = [
    ...queries.map((query) => [query || 'newest first', `/v2/connect/connectors?limit=100&${query}`]),
    ['v1 with include=projects', '/v1/connect/connectors?limit=100&include=projects'],
    ['links of a project', `/v2/connect/projects/${PROJECT}/connectors?limit=100`],
  ];
  for (const [what, route] of lists) {
    let cursor = '';
    const times = [];
    for (let page = 0; page < 300; page++) {
      const { ms, next } = await ask(`${route}${cursor && `&cursor=${cursor}`}`);
      times.push(ms);
      cursor = next ?? '';
    }
    times.sort((a, b) => a - b);
    say('page of 100', `${what}: p50 ${times[150].toFixed(1)} ms, p99 ${times[297].toFixed(1)} ms   (budget 20), of ${kilo(ROWS)} connectors`);
  }
}

/**
 * Tokens of a GitHub App's installation: from the cache, and asked for anew, which signs an RS256 JWT, waits for an
 * emulator of GitHub, and seals and stores what it answers.
 */
async function mints(server) {
  const github = await Emulator.start('github', server.callback);
  const data = {
    appId: 12345,
    appSlug: 'my-github-app',
    appName: 'My GitHub App',
    clientId: 'Iv1.abc123',
    clientSecret: 'gh-secret',
    privateKeyPem: GITHUB_KEY,
    serverConfig: { api_base_url: github.url },
  };
  const ok = async (method, route, body, key = KEYS.admin) => {
    const answer = await server.call(method, route, { key, body });
    if (answer.status >= 300) throw new Error(answer.text);
    return answer.body;
  };
  const { id } = await ok('POST', '/api/v1/connectors', { type: 'github', name: 'Bench', data });
  await ok('PUT', `/api/v1/connectors/${id}/projects/${PROJECT}`, { environments: ['production'] });
  await ok('POST', `/api/v1/connectors/${id}/installations`, { external_id: '100' });
  const route = `/v1/connect/token/${id}`;
  const read = { subject: { type: 'app' }, installationId: '100', authorizationDetails: [{ type: 'github_app_installation', permissions: 'contents:read' }] };
  const times = [];
  for (let round = 0; round < 50; round++) {
    const began = performance.now();
    await ok('POST', route, read, KEYS.workload);
    times.push(performance.now() - began);
    await ok('DELETE', `/v1/connect/connectors/${id}/tokens?teamId=${TEAM}`, {});
  }
  await ok('POST', route, read, KEYS.workload);
  const warm = await wrk(server.url + route, KEYS.workload, read, FEWER_SECONDS);
  say('GitHub token, cached', `${kilo(warm.rate)}/s, p99 ${warm.p99.toFixed(2)} ms; asked for anew ${median(times).toFixed(1)} ms`);
  await github.stop();
}

async function measure(name, databaseUrl) {
  console.log(`-- ${name}`);
  const server = await start(databaseUrl);
  await starts(server, 1);
  await reads(server);
  await mints(server);
  const create = { type: 'oauth', name: 'Bench', uid: 'bench/$N', data: connector.data };
  await writes(server, 'connector create', `/v1/connect/connectors?teamId=${TEAM}`, create);
  const { id: _, environment: __, ...imported } = connection('', { type: 'user', id: 'import-$N' });
  let count = await writes(server, 'connection import', '/api/v1/connections', imported, RIVAL.import);
  if (!databaseUrl) {
    // On a server of its own: a list without pages is as long as what the others have made.
    const own = await start(undefined, undefined, UNBOUND);
    await dialects(own);
    await own.stop();
  }
  const list = await wrk(`${server.url}/api/v1/connections?limit=100`, KEYS.admin);
  say('list of 100', `${kilo(list.rate)}/s, p99 ${list.p99.toFixed(1)} ms, ${(list.rate / RIVAL.list).toFixed(1)} × the rival's ${RIVAL.list}/s`);
  const seconds = await applied(server, ROWS);
  say(`apply ${kilo(ROWS)} rows`, `${seconds.toFixed(1)} s, ${kilo(ROWS / seconds)} rows/s`);
  const again = await applied(server, ROWS);
  say('  and once more', `${again.toFixed(1)} s (nothing changes)`);
  count += ROWS;
  if (count < COLD) {
    await applied(server, COLD - count, ROWS);
    count = COLD;
  }
  await starts(server, count);
  await pages(server);
  await server.stop();
}

if (process.env.ONLY === 'dialects') {
  const server = await start(undefined, undefined, UNBOUND);
  await dialects(server);
  await server.stop();
  process.exit(0);
}
if (process.env.ONLY === 'mints') {
  const server = await start();
  await mints(server);
  await server.stop();
  process.exit(0);
}
if (process.env.ONLY === 'pages') {
  const server = await start();
  await pages(server);
  await server.stop();
  process.exit(0);
}
await measure('SQLite');
const cluster = await Cluster.start({ fsync: 'on' });
await cluster.sql('CREATE DATABASE bench');
await measure('PostgreSQL 15, fsync on', cluster.url({ host: '127.0.0.1', database: 'bench', parameters: 'sslmode=disable' }));
await cluster.stop();
