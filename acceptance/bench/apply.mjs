// `grantry apply` of 10 000 rows: one team, 10 projects, 100 connectors, 9 000 connections, 889 keys. Twice, on an
// idle data directory: the first makes every row, the second finds every row as declared. On SQLite, or with
// ACCEPTANCE_DATABASE=postgres in a database of its own on the cluster of TEST_DATABASE_URL.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Grantry, toml } from '../lib/grantry.mjs';

const ROWS = Number(process.env.ROWS ?? 10_000);
const PROJECTS = 10;
const CONNECTORS = 100;
const KEYS = Math.round(ROWS * 0.0889);
const CONNECTIONS = ROWS - 1 - PROJECTS - CONNECTORS - KEYS;

const team = 'team_bench';
const list = (length, row) => Array.from({ length }, (_, index) => row(index));

/** The rows, every one with an id, as a large installation would declare them. */
export function document() {
  const service = {
    authorization_endpoint: 'https://provider.example/authorize',
    token_endpoint: 'https://provider.example/token',
  };
  return {
    accounts: [{ id: 'acc_bench', name: 'Bench' }],
    teams: [{ id: team, account: 'acc_bench', slug: 'bench' }],
    projects: list(PROJECTS - 1, (n) => ({ id: `prj_${n}`, team, name: `project ${n}` })),
    keys: list(KEYS, (n) => ({
      id: `key_${n}`,
      team,
      project: `prj_${n % (PROJECTS - 1)}`,
      environment: 'production',
      token: `tok_${n}_${randomBytes(24).toString('hex')}`,
    })),
    connectors: list(CONNECTORS, (n) => ({
      id: `scl_${n}`,
      uid: `bench/${n}`,
      team,
      name: `Connector ${n}`,
      type: 'oauth',
      service: 'bench',
      data: { clientId: 'bench', clientSecret: 'bench-secret', serverConfig: service },
      links: [{ project: `prj_${n % (PROJECTS - 1)}` }],
    })),
    connections: list(CONNECTIONS, (n) => ({
      id: `conn_${n}`,
      connector: `scl_${n % CONNECTORS}`,
      subject: { type: 'user', id: `user_${n}` },
      access_token: `at_${n}_${randomBytes(24).toString('hex')}`,
      refresh_token: `rt_${n}_${randomBytes(24).toString('hex')}`,
      expires_in: 3600,
    })),
  };
}

const server = await Grantry.start();
await server.stop();
const file = path.join(server.folder, 'bench.toml');
writeFileSync(file, toml(document()));
if (server.databaseUrl) {
  process.env.GRANTRY_DATABASE_URL = server.databaseUrl;
  process.env.GRANTRY_MASTER_KEY_FILE = server.masterKey;
}
for (const round of ['every row is made', 'every row is there']) {
  const from = performance.now();
  const report = JSON.parse(await server.command('apply', '-f', file, '--json'));
  const seconds = (performance.now() - from) / 1000;
  const { created, unchanged } = report.summary;
  const rate = Math.round(report.rows.length / seconds);
  console.log(`${round}: ${seconds.toFixed(2)} s, ${rate} rows/s (${created} created, ${unchanged} unchanged)`);
}
