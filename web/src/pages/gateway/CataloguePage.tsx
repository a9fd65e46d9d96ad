// The services that can be called: what is shipped and what operators stored.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { invalidate } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href, setParams, useParam } from '../../router';
import { Badge, Button, type Column, Confirm, counted, Dialog, Empty, Facts, FilterBar, LinkButton, Notice, Page, Section, State, Table, toast } from '../../ui';
import { AddApi, ApplicationForm } from './Application';
import { endpointsOf, hasConsent, isReady, type Provider, providersPath, useProviders } from './providers';

function Detail({ provider }: { provider: Provider }) {
  const me = useMe();
  const may = Boolean(me && mayOperate(me));
  const [removing, setRemoving] = useState(false);
  const endpoints = endpointsOf(provider);
  return (
    <Dialog title={provider.display_name} side wide onClose={() => setParams({ provider: null })}>
      <div class="form-actions">
        {isReady(provider) && <LinkButton kind="primary" href={href('/gateway', { connect: provider.provider })}>Connect</LinkButton>}
        <LinkButton href={href('/gateway/console', { provider: provider.provider })}>Try a call</LinkButton>
        {may && provider.stored && <Button kind="danger" onClick={() => setRemoving(true)}>Remove what was stored here</Button>}
      </div>
      {provider.note && <Notice tone="warn">{provider.note}</Notice>}
      <Facts facts={[
        { label: 'Name in calls', value: <code>{provider.provider}</code> },
        { label: 'Address', value: <code>{provider.base_url}</code> },
        { label: 'Version', value: provider.version || '–' },
        { label: 'Account by', value: provider.auth_type.replace(/_/g, ' ') },
        { label: 'Methods', value: provider.allowed_methods.join(', ') },
        { label: 'Paths begin with', value: provider.allowed_path_prefixes.map((one) => <code key={one}>{one} </code>) },
      ]} />
      {hasConsent(provider) && (
        <Section title="Application" note="People consent on the service's own page once it knows this appliance as an application.">
          <p>{isReady(provider) ? <State state="an application is stored" tone="good" /> : <State state="no application is stored" tone="warn" />}</p>
          {provider.auth.scopes && <p>Asks for: {provider.auth.scopes.map((one) => <Badge key={one}>{one}</Badge>)}</p>}
          {may ? <ApplicationForm provider={provider} /> : !isReady(provider) && <p>An operator stores it here.</p>}
        </Section>
      )}
      <Section title="Endpoints">
        <Table label="Endpoints" rows={endpoints} idOf={(one) => one.name} columns={[
          { key: 'name', label: 'Name', cell: (one) => one.name },
          { key: 'path', label: 'Path', cell: (one) => <code>{one.path}</code>, narrow: 'sub' },
          {
            key: 'try', label: '', align: 'right', narrow: 'end',
            cell: (one) => <a href={href('/gateway/console', { provider: provider.provider, path: one.path })}>Try</a>,
          },
        ]} />
      </Section>
      {removing && (
        <Confirm title={`Remove what was stored of ${provider.display_name}`} action="Remove" onClose={() => setRemoving(false)}
          onConfirm={async () => {
            await api.delete('/admin/providers/{provider}', { path: { provider: provider.provider } });
            invalidate(providersPath);
            setParams({ provider: null });
            toast(provider.catalogue ? 'The catalogue’s entry counts again.' : `${provider.display_name} is removed.`);
          }}>
          {provider.catalogue ? 'The catalogue’s entry counts again, without the application’s id and secret: accounts of it are not renewed until they are stored again.'
            : 'Calls to it are refused from now on. Its accounts stay, and are of no use until it is added again.'}
        </Confirm>
      )}
    </Dialog>
  );
}

const columns: Column<Provider>[] = [
  { key: 'name', label: 'Service', cell: (one) => one.display_name },
  { key: 'address', label: 'Address', cell: (one) => <code class="clip">{one.base_url}</code>, narrow: 'sub' },
  { key: 'auth', label: 'Account by', cell: (one) => (hasConsent(one) ? 'consent' : one.auth_type.replace(/_/g, ' ')), narrow: 'hide' },
  {
    key: 'state', label: 'Ready', narrow: 'side',
    cell: (one) => (isReady(one) ? <State state="can be connected" tone="good" /> : <State state="wants an application" tone="warn" />),
  },
  { key: 'origin', label: 'From', align: 'right', cell: (one) => (one.stored ? 'an operator' : 'the catalogue'), narrow: 'hide' },
];

export default function CataloguePage() {
  const [q] = useParam('q');
  const [chosen] = useParam('provider');
  const [adding, setAdding] = useState(false);
  const me = useMe();
  const { data, error, refresh } = useProviders();
  const words = q.toLocaleLowerCase();
  const rows = data?.filter((one) => `${one.provider} ${one.display_name} ${one.base_url}`.toLocaleLowerCase().includes(words));
  const provider = data?.find((one) => one.provider === chosen);
  const add = me && mayOperate(me) && <Button kind="primary" onClick={() => setAdding(true)}>Add an API</Button>;
  return (
    <Page title="Catalogue" action={add} state={data && <>{counted(data.length, 'service')}, {data.filter(isReady).length} can be connected now</>}>
      <FilterBar search="q" placeholder="Filter by name or address" />
      <Table label="Services" rows={rows} columns={columns} idOf={(one) => one.provider} error={error} onRetry={refresh}
        linkOf={(one) => href('/gateway/catalogue', { q, provider: one.provider })}
        empty={<Empty action={add} command="kvcs gateway provider set crm --file crm.json">No service fits. Any HTTP API can be added without code.</Empty>} />
      {provider && <Detail provider={provider} />}
      {adding && <AddApi onClose={() => setAdding(false)} />}
    </Page>
  );
}
