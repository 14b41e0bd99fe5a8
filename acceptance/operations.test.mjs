// What goes wrong in operation, on the real binary: each time the test does what the printed message says, and
// then it has to work.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Disk } from './lib/disk.mjs';
import { BIN, Grantry } from './lib/grantry.mjs';
import { Child, freePort, temporaryFolder, until } from './lib/process.mjs';
import { connect, expiry, served, user } from './lib/provider-suite.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { connectorOf, KEYS, world } from './lib/world.mjs';

const CONNECTOR = 'scl_operated';

/** What `doctor` finds wrong with a server's deployment, by code: [message, mend]. */
async function doctor(server, env = {}) {
  const args = ['doctor', '--json', '--config', server.config, '--data-dir', server.dataDir, '--listen', server.address];
  const child = new Child(BIN, args, { env });
  let stdout = '';
  child.process.stdout.on('data', (text) => (stdout += text));
  const code = await child.exited;
  const found = JSON.parse(stdout).findings.filter(({ level }) => level === 'fail');
  assert.equal(code, found.length ? 1 : 0, child.output);
  return Object.fromEntries(found.map(({ code, message, fix }) => [code, { message, fix }]));
}

/** Starts a server that must not start: its exit code, and what it said. */
async function refusal(server) {
  const child = new Child(BIN, ['serve', '--config', server.config, '--data-dir', server.dataDir, '--listen', server.address]);
  const code = await child.exited;
  return { code, output: child.output };
}

const imported = (server, subject) =>
  server.call('POST', '/api/v1/connections', {
    key: KEYS.admin,
    body: {
      connector: CONNECTOR,
      subject: { type: 'user', id: subject },
      name: subject,
      access_token: `token of ${subject}`.replaceAll(' ', '-'),
      refresh_token: `refresh-${subject}`,
      expires_in: 3600,
    },
  });

describe('a full disk', () => {
  let server, sandbox, disk;
  const stored = [];

  before(async () => {
    server = new Grantry(temporaryFolder('disk'), await freePort());
    disk = Disk.mount(server.dataDir, 200);
    // Not a test to be left out: an unprivileged machine has to say that it has not tried this.
    assert.ok(disk, 'mounting a small disk takes root');
    sandbox = await Sandbox.start({ accessTtl: 5 });
    await server.serve();
    await server.apply(world(connectorOf(sandbox, { id: CONNECTOR, uid: 'sandbox/operated', client: DEMO })));
  });
  after(async () => {
    await server?.stop();
    await sandbox?.stop();
    disk?.unmount();
  });

  it('is told of when a write does not fit, and nothing that was answered is lost', async () => {
    disk.fill(300_000);
    let refused;
    while (!refused) {
      const answer = await imported(server, `u${stored.length}`);
      if (answer.status === 201) stored.push(`u${stored.length}`);
      else refused = answer;
      assert.ok(stored.length < 2000, 'the disk never fills');
    }
    assert.equal(refused.status, 507, refused.text);
    assert.equal(refused.headers.get('content-type'), 'application/problem+json');
    assert.equal(refused.body.code, 'storage_full');
    assert.match(refused.body.detail, /disk is full/);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    // The last pages, too.
    disk.fill();
    await until(() => server.child.output.includes('disk of the database is full'), 'the log says so');
    const { body } = await server.call('GET', '/api/v1/connections?limit=100', { key: KEYS.admin });
    const listed = body.data.map(({ subject }) => subject.id);
    assert.deepEqual(listed.toSorted(), stored.toSorted());
  });

  it('lets reads go on', async () => {
    for (const route of ['/api/v1/connectors', '/api/v1/connections', '/api/v1/events', '/v1/connect/connectors'])
      assert.equal((await server.call('GET', route, { key: KEYS.admin })).status, 200, route);
  });

  it('refuses in the shape of each dialect', async () => {
    // A small write may still fit into the last page.
    let vercel;
    await until(async () => (vercel = await server.authorize(CONNECTOR, user('nobody'))).status !== 200, 'a refusal');
    assert.equal(vercel.status, 507, vercel.text);
    assert.equal(vercel.body.error.code, 'insufficient_storage');
    assert.match(vercel.body.error.message, /disk is full/);
  });

  it('gives no token whose reading could not be logged, and says why', async () => {
    // Requirement 90: no event, no token.
    const answers = await Promise.all(stored.map((subject) => server.token(CONNECTOR, user(subject))));
    const refused = answers.filter(({ status }) => status !== 200);
    assert.ok(refused.length > 0);
    for (const { status, text } of refused) assert.equal(status, 507, text);
  });

  it('is found by doctor, which says where to make room', async () => {
    const { 'data.disk': found } = await doctor(server);
    assert.match(found.message, /only 0 MiB are free/);
    assert.ok(found.fix.includes(`df -h ${server.dataDir}`), found.fix);
  });

  it('is over when there is room, without a restart', async () => {
    const process = server.child.process.pid;
    disk.makeRoom();
    assert.equal((await imported(server, 'later')).status, 201);
    for (const subject of [...stored, 'later'])
      assert.equal((await served(server, CONNECTOR, user(subject))).token, `token-of-${subject}`);
    assert.equal(server.child.process.pid, process);
    assert.deepEqual(Object.keys(await doctor(server)), []);
  });
});

describe('a disk that fills while a token is refreshed', () => {
  let server, sandbox, disk;
  const spool = () => path.join(server.dataDir, 'spool');
  const spooled = () => readdirSync(spool()).filter((name) => name.endsWith('.json'));

  before(async () => {
    server = new Grantry(temporaryFolder('disk'), await freePort());
    disk = Disk.mount(server.dataDir, 200);
    assert.ok(disk, 'mounting a small disk takes root');
    sandbox = await Sandbox.start({ accessTtl: 5 });
    await server.serve();
    await server.apply(world(connectorOf(sandbox, { id: CONNECTOR, uid: 'sandbox/operated', client: DEMO })));
  });
  after(async () => {
    await server?.stop();
    await sandbox?.stop();
    disk?.unmount();
  });

  it('loses no pair: what the database cannot take is kept, sealed, in room that was set aside, also over a kill', async () => {
    const who = user('refreshed');
    const first = await connect(server, CONNECTOR, who);
    disk.fill(500_000);
    await expiry(sandbox, first);
    await sandbox.play({ fault: 'late', seconds: 3, times: 1, grant_type: 'refresh_token' });
    const waiting = server.token(CONNECTOR, who);
    await until(async () => (await sandbox.stats()).requests.token === 2, 'the refresh is under way');
    disk.fill();
    // Others use up what the database had set aside for its log.
    let answered = false;
    waiting.finally(() => (answered = true));
    while (!answered) await server.authorize(CONNECTOR, user('crowd'));
    const { status } = await waiting;
    const texts = spooled().map((name) => readFileSync(path.join(spool(), name), 'utf8'));
    // It depends on where its log begins anew whether SQLite finds room after all; then there is nothing to spool.
    if (status !== 200) assert.deepEqual([status, texts.length], [507, 1]);
    await server.kill();
    disk.makeRoom();
    await server.serve();
    const { token } = await served(server, CONNECTOR, who);
    assert.notEqual(token, first.token);
    for (const text of texts) assert.ok(!text.includes(token), 'what is spooled is sealed');
    // The new one may have ended meanwhile; the old one was presented once.
    const presented = await sandbox.presentations();
    assert.deepEqual(presented.map(({ error }) => error).filter(Boolean), []);
    assert.equal(new Set(presented.map(({ refresh }) => refresh.generation)).size, presented.length);
    assert.equal((await sandbox.stats()).families_killed_by_reuse, 0);
    assert.deepEqual(spooled(), []);
  });
});

describe('a master key', () => {
  let server;
  const key = () => path.join(server.dataDir, 'master.key');
  const backup = () => path.join(server.folder, 'backup.key');
  const restore = () => copyFileSync(backup(), key());
  const works = async () => {
    await server.serve();
    assert.deepEqual(await doctor(server), {});
    assert.equal((await server.call('GET', '/api/v1/connectors', { key: KEYS.admin })).status, 200);
    assert.equal((await served(server, 'maps', { key: KEYS.workload, subject: { type: 'app' } })).token, 'maps-key');
    await server.stop();
  };

  before(async () => {
    const maps = {
      id: 'scl_maps', uid: 'maps', team: 'team_1', name: 'Maps', type: 'api-key',
      data: { values: [{ value: 'maps-key' }] }, links: [{ project: 'prj_1', environments: ['production'] }],
    };
    server = new Grantry(temporaryFolder('key'), await freePort());
    await server.serve();
    await server.apply(world({ connectors: [maps] }));
    await server.stop();
    copyFileSync(key(), backup());
  });
  after(() => server?.stop());

  it('of other data is refused by name, by doctor in the same words, and put back', async () => {
    const other = new Grantry(temporaryFolder('other'), await freePort());
    await other.serve();
    await other.stop();
    copyFileSync(path.join(other.dataDir, 'master.key'), key());
    const id = (file) => /active (\w{16}) /.exec(readFileSync(file, 'utf8'))[1];
    const { code, output } = await refusal(server);
    assert.equal(code, 3, output);
    assert.match(output, new RegExp(`sealed under master key ${id(backup())}, but the active master key is ${id(key())}`));
    assert.ok(output.includes('--master-key-file') && output.includes(key()), output);
    const { 'key.right': found } = await doctor(server);
    assert.ok(output.includes(found.message), `${found.message}\n${output}`);
    assert.match(found.fix, /backup/);
    restore();
    await works();
  });

  it('that is missing is asked for, and no new one is made', async () => {
    rmSync(key());
    const { code, output } = await refusal(server);
    assert.equal(code, 3, output);
    assert.match(output, /master key file \S+master\.key is missing/);
    assert.match(output, /Put the file back from your backup/);
    assert.match((await doctor(server))['key.present'].fix, /Put \S+master\.key back from your backup/);
    // The other way that the message names.
    const child = new Child(BIN, ['serve', '--config', server.config, '--data-dir', server.dataDir, '--listen', server.address], {
      env: { GRANTRY_MASTER_KEY_FILE: backup() },
    });
    await child.until(async () => (await fetch(`${server.url}/readyz`).catch(() => null))?.ok);
    assert.equal(await child.stop(), 0);
    restore();
    await works();
  });

  it('that others may read is refused, and the printed command mends it', async () => {
    chmodSync(key(), 0o644);
    const { code, output } = await refusal(server);
    assert.equal(code, 3, output);
    const [said] = /chmod 600 \S+/.exec(output);
    assert.equal((await doctor(server))['key.present'].fix, said);
    execFileSync('/bin/sh', ['-c', said]);
    await works();
  });

  it('that is no key is refused, and nobody is told to make another for data that is sealed', async () => {
    writeFileSync(key(), 'abc\n', { mode: 0o600 });
    const { code, output } = await refusal(server);
    assert.equal(code, 3, output);
    assert.match(output, /backup/);
    assert.doesNotMatch(output, /openssl/);
    assert.ok('key.present' in (await doctor(server)));
    restore();
    await works();
  });
});

describe('a clock', () => {
  let server, sandbox;
  const shifted = (by) => ({ LD_PRELOAD: faketime(), FAKETIME: by, FAKETIME_DONT_FAKE_MONOTONIC: '1' });
  const faketime = () => {
    const triple = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
    const library = `/usr/lib/${triple}/faketime/libfaketimeMT.so.1`;
    statSync(library);
    return library;
  };

  before(async () => {
    sandbox = await Sandbox.start({ accessTtl: 60 });
    server = await Grantry.start(world(connectorOf(sandbox, { id: CONNECTOR, uid: 'sandbox/operated', client: DEMO })));
    await connect(server, CONNECTOR, user('timely'));
  });
  after(async () => {
    await server?.stop();
    await sandbox?.stop();
  });

  for (const [what, by, code, words] of [
    ['that was set back is told by what was stored before', '-1h', 'clock.data', /3[56]\d\d s ahead of the clock/],
    ['of before this program is no clock', '-5y', 'clock.wall', /before this program was made/],
    ['that is ahead is told by the providers’ clocks', '+2h', 'clock.provider', /the clock of 127\.0\.0\.1:\d+ is 7[12]\d\d s behind/],
  ])
    it(what, async () => {
      const { [code]: found } = await doctor(server, shifted(by));
      assert.match(found.message, words);
      assert.match(found.fix, /timedatectl set-ntp true/);
      // The clock is right again, and nothing else has to be done.
      assert.deepEqual(await doctor(server), {});
    });

  it('of a provider that is wrong is told, and whose it is', async () => {
    let ahead = 3_600_000;
    const late = http.createServer((_, answer) => {
      answer.sendDate = false;
      answer.writeHead(405, { date: new Date(Date.now() + ahead).toUTCString() }).end();
    });
    await once(late.listen(0, '127.0.0.1'), 'listening');
    const tokenOrigin = `http://127.0.0.1:${late.address().port}`;
    try {
      await server.apply(world(connectorOf(sandbox, { id: 'scl_ahead', uid: 'sandbox/ahead', client: DEMO, tokenOrigin })));
      const { 'clock.provider': found } = await doctor(server);
      assert.match(found.message, new RegExp(`the clock of ${new URL(tokenOrigin).host} is 3[56]\\d\\d s ahead of this machine's`));
      ahead = 0;
      assert.deepEqual(await doctor(server), {});
    } finally {
      late.close();
    }
    await server.call('DELETE', '/v1/connect/connectors/scl_ahead', { key: KEYS.admin });
  });

  it('that was set back and forth under a server loses nobody’s connection', async () => {
    const who = user('timely');
    await server.stop();
    for (const by of ['-1h', '+0']) {
      server.env = shifted(by);
      await server.serve();
      const { token } = await served(server, CONNECTOR, who);
      assert.equal(await sandbox.honours(token), true, by);
      await server.stop();
    }
    server.env = undefined;
    await server.serve();
    assert.equal((await sandbox.stats()).families_killed_by_reuse, 0);
  });
});

describe('the memory of a server', () => {
  let server;
  before(async () => (server = await Grantry.start(world())));
  after(() => server?.stop());
  const proc = (name) => `/proc/${server.child.process.pid}/${name}`;

  it('is left in no core dump', () => {
    const [, soft, hard] = /^Max core file size\s+(\d+)\s+(\d+)/m.exec(readFileSync(proc('limits'), 'utf8'));
    assert.deepEqual([soft, hard], ['0', '0']);
    // Not even for a handler that ignores the limit: the kernel dumps no process that is not dumpable.
    assert.equal(statSync(proc('mem')).uid, 0, 'the files of a process that is not dumpable are root\'s');
  });

  it('is closed to other processes of the same user', { skip: process.getuid() !== 0 && 'takes root to be another user' }, async () => {
    // As a user that may not be root: the server, and who would like to read it.
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const folder = temporaryFolder('nobody');
    chmodSync(folder, 0o755);
    execFileSync('install', ['-d', '-o', '65534', '-g', '65534', '-m', '700', path.join(folder, 'data')]);
    const address = `127.0.0.1:${await freePort()}`;
    const binary = path.join(folder, 'grantry');
    copyFileSync(BIN, binary);
    const child = new Child('setpriv', [...nobody, binary, 'serve', '--data-dir', path.join(folder, 'data'), '--listen', address], { cwd: folder });
    await child.until(async () => (await fetch(`http://${address}/readyz`).catch(() => null))?.ok);
    const read = (file) => new Child('setpriv', [...nobody, 'head', '-c', '1', file]);
    for (const name of ['mem', 'environ', 'maps']) {
      const reader = read(`/proc/${child.process.pid}/${name}`);
      assert.notEqual(await reader.exited, 0, name);
      assert.match(reader.output, /Permission denied/, name);
    }
    // What the test could see of a process without that protection.
    const open = new Child('setpriv', [...nobody, 'sleep', '60']);
    await until(async () => (await read(`/proc/${open.process.pid}/environ`).exited) === 0, 'another process is readable');
    await open.kill();
    assert.equal(await child.stop(), 0);
  });
});
