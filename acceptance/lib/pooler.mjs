// pgbouncer before a cluster of lib/cluster.mjs.
import { chownSync, existsSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Child, freePort, temporaryFolder } from './process.mjs';

/** Debian keeps it off the path of ordinary users. */
const PROGRAM = existsSync('/usr/sbin/pgbouncer') ? '/usr/sbin/pgbouncer' : 'pgbouncer';

export class Pooler {
  /** @param {{ mode: 'session' | 'transaction' | 'statement', size?: number }} options connections to the cluster, for each database */
  static async start(cluster, { mode, size = 60 }) {
    const folder = temporaryFolder('pooler');
    const pooler = new Pooler();
    pooler.port = await freePort();
    const file = path.join(folder, 'pgbouncer.ini');
    writeFileSync(
      file,
      `[databases]
* = host=127.0.0.1 port=${cluster.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${pooler.port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${size}
`,
    );
    let command = [PROGRAM, file];
    if (cluster.owner) {
      // It refuses to run as root, as PostgreSQL does.
      chownSync(folder, cluster.owner.uid, cluster.owner.gid);
      command = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', ...command];
    }
    pooler.child = new Child(command[0], command.slice(1));
    await pooler.child.until(() => pooler.#listens());
    return pooler;
  }

  url(database) {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  stop() {
    return this.child.kill();
  }

  #listens() {
    return new Promise((resolve) => {
      const socket = net.connect(this.port, '127.0.0.1');
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
  }
}
