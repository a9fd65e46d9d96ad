// All organizations of the appliance, with what operators set: budget, plan, suspension.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { invalidate, usePages } from '../../api/query';
import { mayOperate, useMe } from '../../api/session';
import { href, useShortcut } from '../../router';
import { Button, type Column, Dialog, Empty, Field, Form, Money, Page, Pager, State, Table, Time, toast, useSearch } from '../../ui';

type Organization = Schema<'Organization'>;
const path = '/admin/organizations';

export default function OrganizationsPage() {
  const me = useMe();
  const [creating, setCreating] = useState(false);
  const search = useSearch('Filter by name');
  const all = usePages<Organization>(`${path}?${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'OrganizationPage'>>('get', path, { query: { limit: 100, cursor, q: search.q }, signal });
    return { rows: page.data.organizations, next: page.data.cursor };
  }, { idOf: (one) => one.org_id, pollMs: 30_000 });
  const may = Boolean(me && mayOperate(me));
  useShortcut('c', 'Create an organization', may ? () => setCreating(true) : null);
  const columns: Column<Organization>[] = [
    { key: 'name', label: 'Name', cell: (one) => <span dir="auto">{one.name}</span> },
    { key: 'slug', label: 'In addresses', cell: (one) => <code>{one.shown_slug ?? one.slug}</code>, narrow: 'sub' },
    { key: 'status', label: 'State', cell: (one) => <State state={one.deletion_at ? 'leaving' : one.status} tone={one.deletion_at ? 'warn' : one.status === 'active' ? 'good' : 'warn'} />, narrow: 'side' },
    { key: 'plan', label: 'Plan', cell: (one) => one.plan ?? one.paid_plan ?? 'default', narrow: 'hide' },
    { key: 'budget', label: 'Budget a month', align: 'right', cell: (one) => <Money usd={one.monthly_budget_usd} />, narrow: 'end' },
    { key: 'made', label: 'Made', align: 'right', cell: (one) => <Time at={one.created_at} />, narrow: 'hide' },
  ];
  const create = may && <Button kind="primary" onClick={() => setCreating(true)}>Create an organization</Button>;
  return (
    <Page title="Organizations" action={create} state={all.rows && search.q === undefined && <>{all.rows.length}{all.hasMore && '+'} on this appliance</>}>
      {search.bar(all)}
      <Table label="Organizations" rows={all.rows} columns={columns} idOf={(one) => one.org_id} linkOf={(one) => href(`/ops/organizations/${one.org_id}`)}
        error={all.error} onRetry={all.refresh} empty={search.empty(all, <Empty action={create} command="kvcs admin org create --name Acme --budget 100">No organization is here yet.</Empty>)} />
      <Pager shown={all.rows?.length ?? 0} hasMore={all.hasMore} busy={all.busy} onMore={all.more} />
      {creating && (
        <Dialog title="Create an organization" onClose={() => setCreating(false)}>
          <Form submit="Create organization" onCancel={() => setCreating(false)} onSubmit={async ({ name = '', monthly_budget_usd = '' }) => {
            await api.post(path, { body: { name, ...(monthly_budget_usd !== '' && { monthly_budget_usd }) } });
            invalidate(path);
            setCreating(false);
            toast(`${name} is made.`);
          }}>
            <Field name="name" label="Name" required maxLength={200} />
            <Field name="monthly_budget_usd" label="Budget a month at model providers, in USD" inputMode="decimal" placeholder="100" />
          </Form>
        </Dialog>
      )}
    </Page>
  );
}
