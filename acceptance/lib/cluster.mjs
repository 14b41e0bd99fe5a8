// A PostgreSQL that a test may stop, kill and hide behind TLS: its own cluster, as an unprivileged user.
import { chownSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, run, temporaryFolder } from './process.mjs';

/** Debian keeps initdb and pg_ctl off the path. */
function programs() {
  const versions = readdirSync('/usr/lib/postgresql').toSorted((one, two) => Number(two) - Number(one));
  return path.join('/usr/lib/postgresql', versions[0], 'bin');
}

export class Cluster {
  /**
   * Makes and starts a cluster whose certificate is for localhost, signed by `caFile`; TLS is offered, not demanded.
   * @param {{ fsync?: 'on' | 'off' }} options whether what it commits outlives the machine
   */
  static async start({ fsync = 'off' } = {}) {
    const cluster = new Cluster(temporaryFolder('cluster'), await freePort());
    cluster.fsync = fsync;
    await cluster.#certify();
    await cluster.#as('initdb', ['-D', cluster.data, '-A', 'trust', '-U', 'postgres', '--no-sync']);
    await cluster.serve();
    return cluster;
  }

  constructor(folder, port) {
    this.folder = folder;
    this.data = path.join(folder, 'data');
    this.port = port;
    this.caFile = path.join(folder, 'ca.pem');
    this.otherCaFile = path.join(folder, 'other-ca.pem');
    // PostgreSQL refuses to run as root.
    if (process.getuid() === 0) {
      const row = readFileSync('/etc/passwd', 'utf8').split('\n').find((line) => line.startsWith('postgres:')).split(':');
      this.owner = { uid: Number(row[2]), gid: Number(row[3]) };
      chownSync(folder, this.owner.uid, this.owner.gid);
    }
  }

  /** Where clients find `database`; `host` is what the certificate is compared with. */
  url({ host = 'localhost', user = 'postgres', database = 'postgres', parameters = '' } = {}) {
    return `postgres://${user}@${host}:${this.port}/${database}${parameters && `?${parameters}`}`;
  }

  /** Starts (again, after a stop). */
  serve() {
    const options = [
      `-p ${this.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${this.folder}`,
      `-c fsync=${this.fsync} -c max_connections=200 -c ssl=on`,
      ...['cert_file=server.pem', 'key_file=server.key', 'ca_file=client-ca.pem'].map((pair) => {
        const [name, file] = pair.split('=');
        return `-c ssl_${name}=${path.join(this.folder, file)}`;
      }),
    ].join(' ');
    return this.#as('pg_ctl', ['-D', this.data, '-w', '-l', path.join(this.folder, 'server.log'), '-o', options, 'start']);
  }

  /** Breaks off whoever is connected, and is gone. */
  stop() {
    return this.#as('pg_ctl', ['-D', this.data, '-w', '-m', 'immediate', 'stop']);
  }

  /** Runs SQL and gives its rows as text. */
  async sql(text) {
    return (await run('psql', ['--quiet', '--no-psqlrc', '-At', this.url(), '-c', text])).trim();
  }

  /** kill -9 of every process that serves a client. PostgreSQL then restarts all of itself. */
  async killBackends() {
    const pids = (await this.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'grantry'")).split('\n');
    for (const pid of pids.filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch (error) {
        // The first one's death ends the others.
        if (error.code !== 'ESRCH') throw error;
      }
    }
    return pids.length;
  }

  async #certify() {
    const openssl = (...args) => run('openssl', args, { cwd: this.folder });
    const authority = (name) =>
      openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
        '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.pem`);
    const signed = async (name, subject, authority, extensions) => {
      await openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
        '-subj', subject, '-addext', extensions, '-keyout', `${name}.key`, '-out', `${name}.csr`);
      await openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${authority}.pem`, '-CAkey', `${authority}.key`,
        '-CAcreateserial', '-days', '2', '-copy_extensions', 'copyall', '-out', `${name}.pem`);
    };
    for (const name of ['ca', 'other-ca', 'client-ca']) await authority(name);
    await signed('server', '/CN=localhost', 'ca', 'subjectAltName=DNS:localhost');
    await signed('client', '/CN=certified', 'client-ca', 'subjectAltName=DNS:certified');
    if (this.owner) for (const file of readdirSync(this.folder)) chownSync(path.join(this.folder, file), this.owner.uid, this.owner.gid);
  }

  #as(program, args) {
    const command = path.join(programs(), program);
    if (!this.owner) return run(command, args, { cwd: this.folder });
    const who = ['--reuid', 'postgres', '--regid', 'postgres', '--clear-groups'];
    return run('setpriv', [...who, command, ...args], { cwd: this.folder });
  }
}
