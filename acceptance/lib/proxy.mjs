// A wire that can be cut at the worst moment of a POST.
import net from 'node:net';
import { once } from 'node:events';

export class Wire {
  /** Forwards a free port to the origin of `target`. */
  static async to(target) {
    const wire = new Wire();
    const { hostname, port } = new URL(target);
    wire.server = net.createServer((client) => wire.#carry(client, net.connect(port, hostname)));
    wire.server.listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.url = `http://127.0.0.1:${wire.server.address().port}`;
    return wire;
  }

  #plans = [];
  #sockets = new Set();
  /** Answers that were swallowed. */
  swallowed = 0;

  /**
   * Calls `act` once, at a moment of the next POST that has no plan yet:
   * - `asked`: the request arrived here; it goes no further
   * - `answered`: the other side has acted and answers; the answer goes no further
   * - `delivered`: the first bytes of the answer were handed on
   * @param {(client: net.Socket) => void} act
   */
  plan(moment, act) {
    this.#plans.push({ moment, act });
  }

  /** The next answer to a POST never reaches the one who asked. */
  swallow() {
    this.plan('answered', (client) => {
      this.swallowed++;
      client.resetAndDestroy();
    });
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  #carry(client, upstream) {
    let plan;
    const due = (moment) => {
      if (plan?.moment !== moment) return false;
      plan.act(client);
      // What was stopped stays stopped, the act happens once.
      plan = moment === 'delivered' ? undefined : { moment, act() {} };
      return true;
    };
    client.on('data', (bytes) => {
      if (bytes.subarray(0, 5).equals(Buffer.from('POST '))) plan = this.#plans.shift();
      if (!due('asked')) upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (!due('answered')) client.write(bytes, () => due('delivered'));
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
