// The services that can be called, and what an account of each is made of.
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';

export type Provider = Schema<'GatewayProvider'>;
export const providersPath = '/admin/providers';

// Those whose records can be read; of others the daemon's log says why.
export function useProviders() {
  return useQuery(providersPath, async (signal) =>
    (await api.get(providersPath, { signal })).providers.filter((one): one is Provider => 'base_url' in one));
}

// Accounts that a person consents to on the service's own page.
export function hasConsent(provider: Provider): boolean {
  return typeof (provider.auth as Record<string, unknown>)['authorize_url'] === 'string';
}
// The application's own id and secret are there, without which nobody can consent.
export function isReady(provider: Provider): boolean {
  const auth = provider.auth as Record<string, unknown>;
  return !hasConsent(provider) || (typeof auth['client_id'] === 'string' && auth['client_id'] !== '');
}

// The record that stores an application's id and secret; an empty secret leaves the stored one. Of an
// entry of the catalogue nothing else is stored, so that the catalogue counts in all the rest; a record
// that an operator stored is sent back whole, since a PUT replaces it.
export function applicationRecord(provider: Provider, client_id: string, client_secret: string): Schema<'GatewayProviderAsk'> {
  const given = { client_id, ...(client_secret !== '' && { client_secret }) };
  if (!provider.stored) return { auth: given };
  const { provider: _name, catalogue: _catalogue, stored: _stored, secrets_set: _secrets, callback_url: _callback, auth, ...kept } = provider;
  const { client_secret_set: _set, ...rule } = auth;
  return { ...kept, auth: { ...rule, ...given } };
}

// The record of an API of one's own, by what was typed.
export function ownRecord(auth_type: string, values: Record<string, string>): Record<string, unknown> {
  const typed = (name: string) => (values[name] ?? '').trim();
  const auth = Object.fromEntries(['header', 'query_param', 'authorize_url', 'token_url'].filter((name) => typed(name) !== '').map((name) => [name, typed(name)]));
  const scopes = typed('scopes').split(/\s+/).filter(Boolean);
  return {
    base_url: typed('base_url'), auth_type, auth: { ...auth, ...(scopes.length > 0 && { scopes }) },
    ...(typed('prefix') !== '' && { allowed_path_prefixes: [typed('prefix')] }),
    ...(typed('private') !== '' && { allow_private_addresses: true }),
  };
}

// Leads a window that was opened here to a page of somebody else's, which does not get hold of this one.
export function leadTo(page: Window, url: string): void {
  page.opener = null;
  page.location.href = url;
}

export interface AccountField { name: string; label: string; secret: boolean; required: boolean }
const secret = (name: string, label: string, required = true): AccountField => ({ name, label, secret: true, required });
const plain = (name: string, label: string, required = true): AccountField => ({ name, label, secret: false, required });

// What is typed for an account, by the provider's way to authenticate.
export function fieldsOf(authType: string): AccountField[] {
  switch (authType) {
    case 'api_key_header':
    case 'api_key_query': return [secret('api_key', 'API key')];
    case 'basic': return [plain('username', 'User name'), secret('password', 'Password or token')];
    case 'bearer': return [secret('access_token', 'Access token')];
    case 'oauth2_refresh_token':
      return [secret('refresh_token', 'Refresh token'), plain('client_id', 'Client id', false), secret('client_secret', 'Client secret', false)];
    case 'oauth2_client_credentials':
      return [plain('client_id', 'Client id', false), secret('client_secret', 'Client secret', false)];
    case 'service_account_jwt': return [secret('service_account', 'Service account (the JSON file’s text)')];
    case 'aws_sigv4':
      return [plain('access_key_id', 'Access key id'), secret('secret_access_key', 'Secret access key'),
        plain('region', 'Region'), plain('service', 'Service', false), secret('session_token', 'Session token', false)];
    default: return [];
  }
}

// "{account_id}" → what stands in braces in a path.
export function namesIn(path: string): string[] {
  return [...path.matchAll(/\{([\w.]+)\}/g)].map((one) => one[1] ?? '');
}

export function endpointsOf(provider: Provider): { name: string; path: string }[] {
  const all = provider.endpoints as Record<string, unknown> | null | undefined;
  return Object.entries(all ?? {}).map(([name, path]) => ({ name, path: typeof path === 'string' ? path : JSON.stringify(path) }));
}
