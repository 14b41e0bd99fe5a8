// npm oidc-provider: the strict one. A refresh token used twice ends the whole grant.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { connect, expiry, holdsWith, needsConsent, user } from './lib/provider-suite.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, KEYS, RETURN_URL, world } from './lib/world.mjs';
import { Wire } from './lib/proxy.mjs';

holdsWith('oidc-provider');

describe('when oidc-provider rotates and its answer is lost', () => {
  let server, peer, wire;
  before(async () => {
    server = await Grantry.start();
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { AT_TTL: '3' } });
    wire = await Wire.to(peer.url);
    await server.apply(world(connectorOf(peer, { id: 'scl_wire', uid: 'oidc/wire', tokenOrigin: wire.url })));
  });
  after(async () => {
    await server?.stop();
    await wire?.stop();
    await peer?.stop();
  });

  it('says so, asks for one new consent, and works again after it', async () => {
    const who = user('unlucky');
    await expiry(peer, await connect(server, 'scl_wire', who));
    wire.swallow();
    await needsConsent(server, 'scl_wire', who);
    assert.equal(wire.swallowed, 1);

    const connections = await server.call('GET', '/api/v1/connections', { key: KEYS.admin });
    assert.match(connections.text, /lost_response/);
    const { refused } = await peer.stats();
    await needsConsent(server, 'scl_wire', who);
    assert.deepEqual((await peer.stats()).refused, refused, 'a dead refresh token is not presented again');

    assert.equal(await peer.honours((await connect(server, 'scl_wire', who)).token), true);
  });
});

describe('when the user says no', () => {
  let server, peer;
  before(async () => {
    server = await Grantry.start();
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback], env: { DENY: '1' } });
    await server.apply(world(connectorOf(peer, { id: 'scl_deny', uid: 'oidc/deny' })));
  });
  after(async () => {
    await server?.stop();
    await peer?.stop();
  });

  it('no token is asked for and nothing is connected', async () => {
    const who = user('unwilling');
    const { body } = await server.authorize('scl_deny', { ...who, returnUrl: RETURN_URL });
    const visitor = new Visitor();
    const { page } = await visitor.open(body.url);
    await visitor.press(page, { stopAt: RETURN_URL });
    const { granted, refused } = await peer.stats();
    assert.deepEqual([granted, refused], [{}, {}]);
    await needsConsent(server, 'scl_deny', who);
  });
});
