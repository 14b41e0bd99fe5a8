// The team that the suites work in, as an apply document.
import { CLIENTS } from './peers.mjs';

export const TEAM = 'team_1';
export const PROJECT = 'prj_1';
export const KEYS = {
  admin: 'tok_acceptance_admin',
  member: 'tok_acceptance_member',
  tokenOnly: 'tok_acceptance_token_only',
  workload: 'tok_acceptance_workload',
  stranger: 'tok_acceptance_stranger',
};

/** Where users come back to. Nothing listens there: a visitor stops on arrival. */
export const RETURN_URL = 'http://localhost:9999/done';

/** One team with people, a project and keys, a second team that must see nothing, and `parts`. */
export function world(...parts) {
  const base = {
    accounts: [{ id: 'acc_1', name: 'Acme Inc' }],
    teams: [
      { id: TEAM, account: 'acc_1', slug: 'acme', name: 'Acme' },
      { id: 'team_2', account: 'acc_1', slug: 'other', name: 'Other' },
    ],
    users: [
      { id: 'usr_alice', team: TEAM, email: 'alice@example.com', first_name: 'Alice', last_name: 'Adams', role: 'owner' },
      { id: 'usr_bob', team: TEAM, email: 'bob@example.com', first_name: 'Bob', last_name: 'Brown', role: 'member' },
      { id: 'usr_eve', team: 'team_2', email: 'eve@example.com', first_name: 'Eve', last_name: 'Evans', role: 'owner' },
    ],
    projects: [{ id: PROJECT, team: TEAM, name: 'web' }],
    keys: [
      { team: TEAM, user: 'usr_alice', level: 'team', role: 'admin', token: KEYS.admin },
      { team: TEAM, user: 'usr_bob', level: 'team', role: 'member', token: KEYS.member },
      { team: TEAM, user: 'usr_bob', level: 'team', role: 'token-only', token: KEYS.tokenOnly },
      { team: TEAM, project: PROJECT, environment: 'production', level: 'team', token: KEYS.workload },
      { team: 'team_2', user: 'usr_eve', level: 'team', role: 'admin', token: KEYS.stranger },
    ],
    services: [],
    connectors: [],
    connections: [],
  };
  for (const part of parts)
    for (const [table, rows] of Object.entries(part)) base[table].push(...rows);
  return base;
}

/**
 * A service for `peer` and a connector for one of its clients, linked to the project.
 * @param {import('./peers.mjs').Peer} peer
 * @param {{ id: string, uid: string, client?: { id: string, secret: string }, tokenOrigin?: string }} options
 *   `tokenOrigin` puts something between Grantry and the token endpoint
 */
export function connectorOf(peer, { id, uid, client = CLIENTS.conf, tokenOrigin = peer.url }) {
  const { endpoints, hasIssuer, scopes, authorizationParams } = peer.kind;
  const service = `service-${id.replaceAll('_', '-')}`;
  return {
    services: [
      {
        id: service,
        name: `Service of ${uid}`,
        kind: 'oauth2',
        authorization_endpoint: peer.url + endpoints.authorization,
        token_endpoint: tokenOrigin + endpoints.token,
        revocation_endpoint: peer.url + endpoints.revocation,
        ...(hasIssuer && { issuer: peer.url }),
        common_scopes: scopes,
      },
    ],
    connectors: [
      {
        id,
        uid,
        team: TEAM,
        name: `Connector ${uid}`,
        type: 'oauth',
        service,
        data: {
          clientId: client.id,
          clientSecret: client.secret,
          tokenEndpointAuthMethod: 'client_secret_basic',
          userAuthorization: { enabled: true, scopes },
          authorizationUrlParams: authorizationParams,
        },
        links: [{ project: PROJECT, environments: ['production'] }],
      },
    ],
  };
}
