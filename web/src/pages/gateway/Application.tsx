// What an operator does so that people can consent at a service: an application is registered there,
// and its id and secret are stored here. And how an API that is in no catalogue is added.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { mustBeFree } from '../../api/free';
import { invalidate } from '../../api/query';
import { navigate, href } from '../../router';
import { Checkbox, Command, Dialog, Field, Form, Select, toast } from '../../ui';
import { applicationRecord, ownRecord, type Provider, providersPath } from './providers';

const providerPath = '/admin/providers/{provider}';

// The record that is there is read with its ETag, so that nothing that somebody changes meanwhile is lost.
async function store(provider: string, id: string, secret: string): Promise<void> {
  const path = { provider };
  const { data, etag } = await api.getTagged(providerPath, { path });
  await api.put(providerPath, { path, body: applicationRecord(data, id, secret), ...(data.stored && etag && { ifMatch: etag }) });
  invalidate(providersPath);
  toast('The application is stored, its secret sealed. Accounts can be connected now.');
}

// For operators.
export function ApplicationForm({ provider }: { provider: Provider }) {
  const { client_id = '', client_secret_set } = provider.auth;
  return (
    <>
      {provider.callback_url && (
        <><p>At {provider.display_name}, register an application with this address for the way back (redirect URI):</p>
          <Command label="the address for the way back" lines={[provider.callback_url]} /></>
      )}
      <Form key={provider.provider} submit="Store the application" onSubmit={({ client_id: id = '', client_secret: secret = '' }) => store(provider.provider, id.trim(), secret.trim())}>
        <Field name="client_id" label="Client id" required autocomplete="off" spellcheck={false} {...(client_id !== '' && { defaultValue: client_id })} />
        <Field name="client_secret" label="Client secret" masked required={!client_secret_set}
          hint={client_secret_set ? 'One is stored; left empty, it stays.' : 'Stored sealed, and never shown.'} />
      </Form>
    </>
  );
}

const ways = [
  { value: 'bearer', label: 'a token (Authorization: Bearer)' }, { value: 'api_key_header', label: 'a key in a header' },
  { value: 'api_key_query', label: 'a key in the query' }, { value: 'basic', label: 'a user name and a password' },
  { value: 'oauth2_refresh_token', label: 'consent on its own page (OAuth)' }, { value: 'none', label: 'nothing: it is open' },
];

// For operators: an API that the catalogue lacks.
export function AddApi({ onClose }: { onClose: () => void }) {
  const [way, setWay] = useState('bearer');
  const consents = way === 'oauth2_refresh_token';
  return (
    <Dialog title="Add an API" onClose={onClose}>
      <Form submit="Add the API" onCancel={onClose} onSubmit={async (values) => {
        const name = (values['provider'] ?? '').trim();
        const path = { provider: name };
        await mustBeFree(api.get(providerPath, { path }), 'provider', name);
        await api.put(providerPath, { path, body: ownRecord(way, values) as Schema<'GatewayProviderAsk'> });
        invalidate(providersPath);
        onClose();
        navigate(href('/gateway/catalogue', { provider: name }));
      }}>
        <Field name="provider" label="Name in calls" required maxLength={64} spellcheck={false} placeholder="crm" hint="Lower-case letters, digits and _." />
        <Field name="base_url" label="Address" type="url" required placeholder="https://api.example.com" />
        <Select name="auth_type" label="Lets callers in by" value={way} onChange={setWay} choices={ways} />
        {way === 'api_key_header' && <Field name="header" label="Name of the header" required placeholder="X-Api-Key" spellcheck={false} />}
        {way === 'api_key_query' && <Field name="query_param" label="Name in the query" required placeholder="key" spellcheck={false} />}
        {consents && (
          <><Field name="authorize_url" label="Address of its page for consent" type="url" required />
            <Field name="token_url" label="Address of its tokens" type="url" required />
            <Field name="scopes" label="Scopes" spellcheck={false} hint="Several with spaces between." /></>
        )}
        <Field name="prefix" label="Paths that may be called begin with" placeholder="/v1/" spellcheck={false} hint="Left empty, all." />
        <Checkbox name="private" label="It is in a private network" hint="Addresses such as 10.0.0.5 and 127.0.0.1 are refused otherwise." />
      </Form>
    </Dialog>
  );
}
