// kill -9, 200 times, at the moments that hurt: between callback and answer, and during refreshes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { pause } from './lib/process.mjs';
import { connect, expiry, served, user } from './lib/provider-suite.mjs';
import { Wire } from './lib/proxy.mjs';
import { DEMO, offences, Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, RETURN_URL, world } from './lib/world.mjs';

const CONNECTOR = 'scl_killed';

/**
 * When to kill: a moment on the wire to the token endpoint and the milliseconds after it, or `home`,
 * when whoever caused the token request has their answer.
 */
const MOMENTS = [
  ['asked', 0],
  ['answered', 0],
  ['delivered', 0],
  ['delivered', 1],
  ['delivered', 2],
  ['delivered', 4],
  ['delivered', 8],
  ['home', 0],
];
const rounds = (count) => Array.from({ length: count }, (_, round) => ({ round, moment: MOMENTS[round % MOMENTS.length] }));

/** A server, a sandbox, and a wire between them, for the tests of one `describe`. */
function house(options) {
  const all = {};
  before(async () => {
    all.server = await Grantry.start();
    all.sandbox = await Sandbox.start(options);
    all.wire = await Wire.to(all.sandbox.url);
    await all.server.apply(
      world(
        connectorOf(all.sandbox, { id: CONNECTOR, uid: 'sandbox/killed', client: DEMO, tokenOrigin: all.wire.url }),
      ),
    );
  });
  after(async () => {
    await all.server?.stop();
    await all.wire?.stop();
    await all.sandbox?.stop();
  });
  return all;
}

/** Kills the server at `moment` of the token request that `act` causes, and starts it again. */
async function killDuring({ server, wire }, [moment, milliseconds], act) {
  if (moment === 'home') {
    await act();
    await server.kill();
  } else {
    const killed = new Promise((resolve) =>
      wire.plan(moment, async () => {
        if (milliseconds) await pause(milliseconds);
        resolve(await server.kill());
      }),
    );
    const acted = act().catch((error) => error);
    assert.equal(await killed, 'SIGKILL');
    await acted;
  }
  await server.serve();
}

/** The answer to a token request once the lease of the dead process is over (at most 30 s). */
async function settled(server, who) {
  for (const deadline = Date.now() + 60_000; ; await pause(250)) {
    const answer = await server.token(CONNECTOR, who);
    if (answer.status !== 503 || Date.now() > deadline) return answer;
  }
}

const isServed = ({ status }) => status === 200;
const asksForConsent = ({ status, body }) => status === 422 && body.error.code === 'user_authorization_required';

describe('between callback and answer', () => {
  const all = house({ accessTtl: 3600 });

  for (const { round, moment } of rounds(100))
    it(`kill ${round + 1}: ${moment.join(' + ')} ms`, async () => {
      const { server, sandbox } = all;
      const who = user(`callback-${round}`);
      const { body } = await server.authorize(CONNECTOR, { ...who, returnUrl: RETURN_URL });
      const visitor = new Visitor();
      const { page } = await visitor.open(body.url);
      const { arrived: callback } = await visitor.press(page, { stopAt: server.callback });
      const back = () => visitor.open(callback.href, { stopAt: RETURN_URL });
      await killDuring(all, moment, back);

      const answer = await settled(server, who);
      assert.ok(isServed(answer) || asksForConsent(answer), `${answer.status} ${answer.text}`);
      if (isServed(answer)) assert.equal(await sandbox.honours(answer.body.token), true);
      else assert.notEqual(moment[0], 'home', 'who came home is connected');

      // The visitor presses reload: the code is spent, and that is what the page says.
      const reloaded = await back();
      if (reloaded.page) assert.ok(reloaded.page.status >= 400 && reloaded.page.status < 500, `${reloaded.page.status}`);
      const again = await settled(server, who);
      assert.equal(again.status, answer.status, 'a reload changes nothing');
      if (!isServed(again)) assert.equal(await sandbox.honours((await connect(server, CONNECTOR, who)).token), true);
    });

  it('no code was redeemed twice', async () => {
    const { grants, families, families_killed_by_reuse } = await all.sandbox.stats();
    assert.equal(families_killed_by_reuse, 0);
    assert.ok(families >= 100 - 100 / MOMENTS.length, `${families}`);
    assert.equal(grants.authorization_code, families);
  });
});

describe('between button and callback', () => {
  const all = house({ accessTtl: 3600 });

  for (const round of [1, 2, 3])
    it(`requirement 8: a consent outlives its server, kill ${round}`, async () => {
      const { server, sandbox } = all;
      const who = user(`button-${round}`);
      const { body } = await server.authorize(CONNECTOR, { ...who, returnUrl: RETURN_URL });
      const visitor = new Visitor();
      const { page } = await visitor.open(body.url);
      const { arrived: callback } = await visitor.press(page, { stopAt: server.callback });
      assert.equal(await server.kill(), 'SIGKILL');
      await server.serve();
      const { arrived } = await visitor.open(callback.href, { stopAt: RETURN_URL });
      assert.equal(`${arrived.origin}${arrived.pathname}`, RETURN_URL.split('?')[0]);
      assert.equal(await sandbox.honours((await served(server, CONNECTOR, who)).token), true);
    });
});

for (const [provider, grace] of [
  ['gives 60 s of grace', 60],
  ['ends a grant on reuse', 0],
])
  describe(`during refreshes at a provider that ${provider}`, () => {
    const KILLS = 50;
    const all = house({ accessTtl: 2, grace });
    const outcomes = [];

    it(`${KILLS} kills`, async () => {
      const { server, sandbox } = all;
      let last;
      for (const { round } of rounds(KILLS)) last = await connect(server, CONNECTOR, user(`refresh-${round}`));
      await expiry(sandbox, last);
      for (const { round, moment } of rounds(KILLS)) {
        const who = user(`refresh-${round}`);
        const callers = () => Promise.allSettled([1, 2, 3].map(() => server.token(CONNECTOR, who)));
        await killDuring(all, moment, callers);
      }
    });

    it('every user ends with a token or with one clear request', async () => {
      const { server } = all;
      outcomes.push(
        ...(await Promise.all(
          rounds(KILLS).map(async ({ round, moment }) => {
            const answer = await settled(server, user(`refresh-${round}`));
            assert.ok(isServed(answer) || asksForConsent(answer), `${round}: ${answer.status} ${answer.text}`);
            return { round, moment, served: isServed(answer) };
          }),
        )),
      );
    });

    it('a grant is lost only where the provider had rotated and forgives nothing', () => {
      assert.equal(outcomes.length, KILLS);
      const lost = outcomes.filter(({ served }) => !served);
      if (grace) assert.deepEqual(lost, []);
      for (const { round, moment } of lost) assert.doesNotMatch(moment[0], /^(asked|home)$/, `${round}`);
    });

    it('nothing was presented twice but as design §6 allows', async () => {
      const presentations = await all.sandbox.presentations();
      assert.ok(presentations.length >= KILLS, `${presentations.length}`);
      const { afterAnswer, ...others } = offences(presentations);
      assert.deepEqual(others, { burst: 0, hasty: 0, afterRefusal: 0 });
      assert.ok(afterAnswer <= KILLS, `${afterAnswer}`);
    });

    it('one new consent heals what was lost', async () => {
      assert.equal(outcomes.length, KILLS);
      for (const { round } of outcomes.filter(({ served }) => !served))
        await connect(all.server, CONNECTOR, user(`refresh-${round}`));
      for (const { round } of outcomes) await served(all.server, CONNECTOR, user(`refresh-${round}`));
    });
  });
