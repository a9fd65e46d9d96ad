// Makes an account at a service: by consenting on its own page, or with what is typed here.
import { useEffect, useState } from 'preact/hooks';
import { api } from '../../api/client';
import { ApiError, fieldRefusal } from '../../api/error';
import { mustBeFree } from '../../api/free';
import { invalidate, useAction, useQuery } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { Button, Dialog, ErrorBox, Field, Form, LinkButton, Notice, Select, TextField, Time, toast, type Values } from '../../ui';
import { accountPath } from './accounts';
import { ApplicationForm } from './Application';
import { fieldsOf, hasConsent, isReady, leadTo, type Provider, useProviders } from './providers';

interface Place { tenant: string; provider: string; account: string }
const placeOf = (tenant: string, { provider }: Provider, account: string): Place => ({ tenant, provider, account: account || 'default' });
const mustBeNew = (path: Place) => mustBeFree(api.get(accountPath, { path }), 'account', path.account);

// Grows each time that the account is stored; 0 while it is not there.
async function versionOf(path: Place): Promise<number> {
  try {
    return (await api.get(accountPath, { path })).version;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return 0;
    throw error;
  }
}

function Consent({ tenant, provider, account, isNew, onDone }: { tenant: string; provider: Provider; account: string; isNew: boolean; onDone: () => void }) {
  const [link, setLink] = useState<{ url: string; expires_at: string; before: number } | null>(null);
  const place = placeOf(tenant, provider, account);
  // The consent is given in another window, and ends with the account stored.
  const { data: version } = useQuery(link && `/admin/tenants/${tenant}/providers/${place.provider}/accounts/${place.account}#${link.url}`,
    () => versionOf(place), { pollMs: 2000 });
  useEffect(() => {
    if (!link || version === undefined || version <= link.before) return;
    invalidate('/admin/tenants/');
    toast(`${provider.display_name} is connected.`);
    onDone();
  }, [version]);
  const begin = useAction(async () => {
    // The window is opened by the click itself; browsers refuse one that is opened later.
    const page = window.open('about:blank', '_blank');
    try {
      if (isNew) await mustBeNew(place);
      const before = isNew ? 0 : await versionOf(place);
      const made = await api.post('/admin/tenants/{tenant}/providers/{provider}/connect', {
        path: { tenant, provider: provider.provider }, body: account === '' ? {} : { account_id: account },
      });
      setLink({ ...made, before });
      if (page) leadTo(page, made.url);
    } catch (error) {
      page?.close();
      throw error;
    }
  });
  return (
    <>
      {begin.error && <ErrorBox error={begin.error} />}
      {link ? (
        <>
          <p role="status">Consent on the page that opened; this goes on by itself then. The link ends <Time at={link.expires_at} />.</p>
          <LinkButton href={link.url}>Open it again</LinkButton>
        </>
      ) : (
        <div class="form-actions">
          <Button kind="primary" busy={begin.busy} onClick={() => void begin.run()}>Consent at {provider.display_name}</Button>
        </div>
      )}
    </>
  );
}

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw fieldRefusal(field, 'This is no JSON: paste the whole file of the service account.');
  }
}

function bodyOf(provider: Provider, values: Values): Record<string, unknown> {
  const filled = fieldsOf(provider.auth_type).map((one) => [one.name, values[one.name] ?? ''] as const).filter(([, value]) => value !== '');
  return Object.fromEntries(filled.map(([name, value]) => [name, name === 'service_account' ? jsonOf(value, name) : value]));
}

// `account` is given when an account that is there is connected anew.
export function ConnectDialog({ tenant, provider: given, account: existing, onClose }: {
  tenant: string; provider?: string | undefined; account?: string | undefined; onClose: () => void;
}) {
  const { data } = useProviders();
  const me = useMe();
  const [name, setName] = useState(given ?? '');
  const [account, setAccount] = useState(existing ?? '');
  const [typing, setTyping] = useState(false);
  const provider = data?.find((one) => one.provider === name);
  const byConsent = provider !== undefined && hasConsent(provider) && !typing;
  return (
    <Dialog title={existing ? `Connect ${existing} anew` : 'Connect an account'} onClose={onClose}>
      <div class="form">
        <Select name="provider" label="Service" value={name} onChange={setName} choices={[
          { value: '', label: 'Choose…' }, ...(data ?? []).map((one) => ({ value: one.provider, label: one.display_name }))]} />
        {!existing && (
          <Field name="account" label="Name of the account" value={account} maxLength={64} spellcheck={false} placeholder="default"
            hint="Left empty, it is “default”. Callers name it where there are several." onInput={(event) => setAccount(event.currentTarget.value)} />
        )}
      </div>
      {provider?.note && <Notice tone="warn">{provider.note}</Notice>}
      {provider && byConsent && !isReady(provider) && (
        <Notice tone="warn">
          {provider.display_name} does not know this appliance yet: an application is registered there, and its id and secret are stored here
          {me && mayOperate(me) ? '.' : ' by an operator.'}
        </Notice>
      )}
      {provider && byConsent && !isReady(provider) && me && mayOperate(me) && <ApplicationForm provider={provider} />}
      {provider && byConsent && isReady(provider) && (
        <Consent key={name} tenant={tenant} provider={provider} account={account} isNew={!existing} onDone={onClose} />
      )}
      {provider && byConsent && <p class="small"><button type="button" class="button quiet" onClick={() => setTyping(true)}>Type a refresh token instead</button></p>}
      {provider && !byConsent && (
        <Form key={name} submit="Store the account" onCancel={onClose} onSubmit={async (values) => {
          const path = placeOf(tenant, provider, account);
          if (!existing) await mustBeNew(path);
          await api.put(accountPath, { path, body: bodyOf(provider, values) });
          invalidate('/admin/tenants/');
          toast('The account is stored, sealed. Whether the service takes it shows its first call.');
          onClose();
        }}>
          {fieldsOf(provider.auth_type).map((one) => (one.name === 'service_account'
            ? <TextField key={one.name} name={one.name} label={one.label} required spellcheck={false} />
            : <Field key={one.name} name={one.name} label={one.label} required={one.required} masked={one.secret} autocomplete="off" />))}
        </Form>
      )}
    </Dialog>
  );
}
