// Providers as they are set: a PUT replaces the whole record, so what is not changed goes along.
import type { Schema } from '../../api/client';

export type Provider = Schema<'AiProvider'>;
export type ProviderAsk = Schema<'AiProviderAsk'>;

// What GET shows of a provider, as PUT takes it. A masked header is not sent back: as a value it would be
// three stars.
// `changed`: what is '' is left out, and is then the kind's own.
export function providerBody(provider: Provider | null, changed: ProviderAsk): ProviderAsk {
  const { name: _name, has_api_key: _key, headers = {}, ...kept } = provider ?? {};
  const open = Object.entries(headers).filter(([, value]) => value !== '***');
  const all = Object.entries({
    ...kept,
    ...(open.length > 0 && { headers: Object.fromEntries(open) }),
    ...changed,
  });
  return Object.fromEntries(all.filter(([, value]) => value !== null && value !== '')) as ProviderAsk;
}
