// Measures Grantry beside its limits, taking turns in one run, and prints ratios (design §11).
// Nothing is asserted here: the reader compares with the budgets.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Grantry } from '../lib/grantry.mjs';
import { Child, run, temporaryFolder } from '../lib/process.mjs';
import { KEYS, PROJECT, TEAM, world } from '../lib/world.mjs';

const SECONDS = Number(process.env.SECONDS ?? 15);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const examples = process.env.EXAMPLES;
const folder = temporaryFolder('bench');

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const kilo = (number) => Math.round(number).toLocaleString('en');

/** `wrk -t1 -c16` on one POST: requests per second, 99th percentile in ms. */
async function wrk(url, key, body, seconds = SECONDS) {
  const printed = await run(
    'wrk',
    ['-t1', '-c16', `-d${seconds}s`, '--latency', '-s', path.join(import.meta.dirname, 'post.lua'), url],
    { env: { KEY: key, BODY: JSON.stringify(body) } },
  );
  const [, requests, duration, errors, p99] = printed.match(/^RESULT (\S+) (\S+) (\S+) (\S+)$/m).map(Number);
  if (errors) throw new Error(`${errors} of ${requests} requests failed at ${url}`);
  return { rate: requests / duration, p99 };
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

const server = await Grantry.start(world({ connectors: [connector], connections: [connection('conn_bench', subject)] }));

// 1. The warm token read beside a handler that returns the same bytes.
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
  rounds.push({ bare, ours, cpu: (after.cpu - before.cpu) / (ours.rate * SECONDS), resident: after.resident });
}
await limit.stop();
console.log(`warm token read   ${kilo(median(rounds.map(({ ours }) => ours.rate)))}/s, bare handler ${kilo(median(rounds.map(({ bare }) => bare.rate)))}/s`);
console.log(`  ratio           ${median(rounds.map(({ ours, bare }) => ours.rate / bare.rate)).toFixed(2)}   (budget 0.60)`);
console.log(`  p99             ${median(rounds.map(({ ours }) => ours.p99)).toFixed(2)} ms   (budget 5), bare ${median(rounds.map(({ bare }) => bare.p99)).toFixed(2)} ms`);
console.log(`  CPU             ${(median(rounds.map(({ cpu }) => cpu)) * 1e6).toFixed(0)} µs per read`);
console.log(`  resident        ${Math.max(...rounds.map(({ resident }) => resident)).toFixed(0)} MiB   (budget 60)`);

// 2. Durable writes beside the bare group commit of rows as large as what one write adds.
async function beside(what, rate, bytes) {
  const file = path.join(folder, `${what.replaceAll(' ', '-')}.db`);
  const bare = Number(await run(path.join(examples, 'limit_sqlite'), [file, `${Math.round(bytes)}`, `${SECONDS}`]));
  console.log(`${what.padEnd(17)} ${kilo(rate)}/s, bare group commit of ${kilo(bytes)} bytes ${kilo(bare)}/s`);
  console.log(`  ratio           ${(rate / bare).toFixed(2)}   (budget 0.50)`);
}
const database = path.join(server.dataDir, 'grantry.db');
/** Bytes of the database once everything is in its one file; the server goes on after it. */
async function stored() {
  await server.stop();
  const { size } = statSync(database);
  await server.serve();
  return size;
}

const create = { type: 'oauth', name: 'Bench', uid: 'bench/$N', data: connector.data };
const empty = await stored();
const created = await wrk(`${server.url}/v1/connect/connectors?teamId=${TEAM}`, KEYS.admin, create);
const full = await stored();
await beside('connector create', created.rate, (full - empty) / (created.rate * SECONDS));

const { id: _, environment: __, ...imported } = connection('', { type: 'user', id: 'import-$N' });
const connected = await wrk(`${server.url}/api/v1/connections`, KEYS.admin, imported);
await beside('connection import', connected.rate, ((await stored()) - full) / (connected.rate * SECONDS));
await server.stop();

// 3. The second start, on the data that is there now.
const starts = [];
for (let start = 0; start < 5; start++) {
  const from = performance.now();
  await server.serve();
  starts.push(performance.now() - from);
  await server.stop();
}
console.log(`second start      ${median(starts).toFixed(0)} ms   (budget 100)`);
