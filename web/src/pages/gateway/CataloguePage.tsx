// The services that can be called: what is shipped and what operators stored.
import { href, setParams, useParam } from '../../router';
import { Badge, type Column, counted, Dialog, Empty, Facts, FilterBar, LinkButton, Notice, Page, Section, State, Table } from '../../ui';
import { endpointsOf, hasConsent, isReady, type Provider, useProviders } from './providers';

function Detail({ provider }: { provider: Provider }) {
  const auth = provider.auth as Record<string, unknown>;
  const endpoints = endpointsOf(provider);
  return (
    <Dialog title={provider.display_name} side wide onClose={() => setParams({ provider: null })}>
      <div class="form-actions"><LinkButton kind="primary" href={href('/gateway/console', { provider: provider.provider })}>Try a call</LinkButton></div>
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
        <Section title="Application" note="An operator registers an application at the service, with this appliance's address for the way back, and stores its id and secret here.">
          <p>{isReady(provider) ? <State state="an application is stored" tone="good" /> : <State state="no application is stored" tone="warn" />}</p>
          {Array.isArray(auth['scopes']) && <p>Asks for: {auth['scopes'].map((one) => <Badge key={String(one)}>{String(one)}</Badge>)}</p>}
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
  const { data, error, refresh } = useProviders();
  const words = q.toLocaleLowerCase();
  const rows = data?.filter((one) => `${one.provider} ${one.display_name} ${one.base_url}`.toLocaleLowerCase().includes(words));
  const provider = data?.find((one) => one.provider === chosen);
  return (
    <Page title="Catalogue" state={data && <>{counted(data.length, 'service')}, {data.filter(isReady).length} can be connected now</>}>
      <FilterBar search="q" placeholder="Filter by name or address" />
      <Table label="Services" rows={rows} columns={columns} idOf={(one) => one.provider} error={error} onRetry={refresh}
        linkOf={(one) => href('/gateway/catalogue', { q, provider: one.provider })}
        empty={<Empty command="kvcs gateway provider set crm --file crm.json">No service fits. Any HTTP API can be added without code.</Empty>} />
      {provider && <Detail provider={provider} />}
    </Page>
  );
}
