// TLS in the binary: a certificate is replaced under load, and a broken one is not.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { BIN, Grantry } from './lib/grantry.mjs';
import { Child, freePort, pause, run, temporaryFolder, until } from './lib/process.mjs';

describe('a certificate on disk', () => {
  const folder = temporaryFolder('tls');
  const file = (name) => path.join(folder, name);
  const inUse = { cert: file('in-use.pem'), key: file('in-use.key') };
  let server, port, child;

  /** A pair for localhost, signed by itself. */
  const certify = (name) =>
    run('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
      ...['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost'],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
    ]);
  /** Puts a pair in its place as careful people do: each file whole, under its name in one step. */
  const replace = (name) => {
    for (const [kind, place] of [['key', inUse.key], ['pem', inUse.cert]]) {
      copyFileSync(file(`${name}.${kind}`), `${place}.new`);
      renameSync(`${place}.new`, place);
    }
  };
  const ca = () => ['first', 'second', 'third'].map((name) => readFileSync(file(`${name}.pem`)));

  /** Whose certificate a new connection meets. */
  async function met() {
    const socket = tls.connect({ host: '127.0.0.1', port, servername: 'localhost', ca: ca() });
    try {
      await once(socket, 'secureConnect');
      return socket.getPeerCertificate().subject.CN;
    } finally {
      socket.destroy();
    }
  }

  const get = (agent) =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', servername: 'localhost', port, path: '/readyz', ca: ca(), agent };
      const request = https.get(options, (answer) => {
        answer.resume().on('end', () => resolve({ status: answer.statusCode, reused: request.reusedSocket }));
      });
      request.on('error', reject);
    });

  before(async () => {
    for (const name of ['first', 'second', 'third']) await certify(name);
    replace('first');
    port = await freePort();
    server = new Grantry(folder, port);
    writeFileSync(server.config, `[tls]\ncert_file = "${inUse.cert}"\nkey_file = "${inUse.key}"\n`);
    child = new Child(BIN, ['serve', '--config', server.config, '--data-dir', server.dataDir, '--listen', server.address, '--public-url', `https://localhost:${port}`]);
    await child.until(async () => (await get(false).catch(() => null))?.status === 200);
  });
  after(() => child?.stop());

  /** Requests all the while: some on connections that stay, each of the others on a new one. */
  function load() {
    const agents = [1, 2, 3].map(() => new https.Agent({ keepAlive: true, maxSockets: 1 }));
    const seen = { answers: 0, opened: 0, failed: [] };
    let going = true;
    const callers = [...agents, false, false].map(async (agent) => {
      while (going) {
        try {
          const { status, reused } = await get(agent);
          assert.equal(status, 200);
          seen.answers++;
          if (agent && !reused) seen.opened++;
        } catch (error) {
          seen.failed.push(error);
        }
        await pause(5);
      }
    });
    return {
      seen,
      end: async () => {
        going = false;
        await Promise.all(callers);
        for (const agent of agents) agent.destroy();
      },
    };
  }

  for (const [how, name, tell] of [
    ['found by itself within seconds', 'second', () => {}],
    ['read at once on SIGHUP, which reload of the systemd unit sends', 'third', () => child.process.kill('SIGHUP')],
  ])
    it(`that was replaced is ${how}, and no request notices`, async () => {
      assert.notEqual(await met(), name);
      const { seen, end } = load();
      await until(() => seen.answers > 50, 'requests are under way');
      const from = child.output.length;
      replace(name);
      tell();
      await until(async () => (await met()) === name, 'a new connection meets the new certificate', 12);
      const then = seen.answers;
      await until(() => seen.answers > then + 50, 'requests go on');
      await end();
      assert.deepEqual(seen.failed, []);
      assert.equal(seen.opened, 3, 'connections that were there stay');
      await until(() => child.output.slice(from).includes('the certificate was read again'), 'the log says so');
    });

  it('that is broken is not used: the old one stays, the log says why, and putting it right is enough', async () => {
    const good = await met();
    const { seen, end } = load();
    for (const [what, break_, words] of [
      ['no PEM', () => writeFileSync(inUse.cert, 'not a certificate'), /holds no certificate in PEM form/],
      ['half a pair', () => copyFileSync(file('first.pem'), inUse.cert), /cannot be used with/],
      ['a key that everybody may read', () => run('chmod', ['644', inUse.key]), /is open to every user of this machine/],
    ]) {
      const from = child.output.length;
      await break_();
      child.process.kill('SIGHUP');
      await until(() => words.test(child.output.slice(from)), `${what} is said`);
      assert.match(child.output.slice(from), /the old one stays/);
      assert.equal(await met(), good, what);
      replace(good);
      await run('chmod', ['600', inUse.key]);
    }
    const from = child.output.length;
    replace('first');
    child.process.kill('SIGHUP');
    await until(async () => (await met()) === 'first', 'the good pair is used');
    // What is logged comes through a pipe, and so maybe after the certificate itself.
    await until(() => child.output.slice(from).includes('the certificate was read again'), 'the log says so');
    await end();
    assert.deepEqual(seen.failed, []);
  });
});
