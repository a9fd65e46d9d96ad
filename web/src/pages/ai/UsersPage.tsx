// Who may call models, with which budget, and what is spent of it.
import { oneByOne } from '../../api/bulk';
import { api, type Schema, wordsOf } from '../../api/client';
import { invalidate, useAction, usePages } from '../../api/query';
import { isOperator, mayAdminister, useMe } from '../../api/session';
import { href, navigate, useParam, useSelection, useShortcut } from '../../router';
import { Button, type Column, counted, Dialog, Empty, Field, Form, Meter, Money, Page, Pager, State, Table, Time, toast, useSearch } from '../../ui';
import { areOfSeveral, type User, useOrganizationNames, userName, usersPath } from './users';

export function CreateUser({ organization, onClose }: { organization: string; onClose: () => void }) {
  return (
    <Dialog title="Create a user" onClose={onClose}>
      <Form submit="Create user" onCancel={onClose} onSubmit={async ({ email = '', monthly_limit_usd = '' }) => {
        const made = await api.post('/admin/users', { body: { email, org_id: organization, ...(monthly_limit_usd !== '' && { monthly_limit_usd }) } });
        invalidate(usersPath);
        onClose();
        navigate(href(`/ai/users/${made.user_id}`, { create: 'key' }));
      }}>
        <Field name="email" label="E-mail address" type="email" required hint="Names the user; nothing is mailed." />
        <Field name="monthly_limit_usd" label="Budget a month, USD" inputMode="decimal" placeholder="50" />
      </Form>
    </Dialog>
  );
}

// Resolves with whether all are so now.
async function setStatus(users: User[], ids: string[], status: 'active' | 'suspended'): Promise<boolean> {
  const wanted = new Set(ids);
  const chosen = users.filter((one) => wanted.has(one.user_id) && one.status !== status).map((one) => one.user_id);
  const { done, refused } = await oneByOne(chosen, (id) => api.patch('/admin/users/{user_id}', { path: { user_id: id }, body: { status } }));
  invalidate(usersPath);
  const count = refused ? `${done.length} of ${chosen.length}` : String(done.length);
  const words = status === 'suspended' ? `${count} suspended: their keys are refused from now on.` : `${count} may call again.`;
  toast(refused ? `${words} ${wordsOf(refused)}` : words, refused ? { tone: 'bad' } : {});
  return !refused;
}

export default function UsersPage() {
  const me = useMe();
  const [organization] = useParam('organization');
  const [create, setCreate] = useParam('create');
  const [chosen, choose] = useSelection();
  const search = useSearch('Filter by address');
  const pages = usePages<User>(`${usersPath}?${organization}&${search.q ?? ''}`, async (cursor, signal) => {
    const page = await api.ask<Schema<'UserPage'>>('get', usersPath, { query: { limit: 100, cursor, org_id: organization, q: search.q }, signal });
    return { rows: page.data.users, next: page.data.cursor };
  }, { idOf: (one) => one.user_id, pollMs: 15_000 });
  const may = Boolean(me && mayAdminister(me, organization || me.organization_id));
  useShortcut('c', 'Create a user', may ? () => setCreate('1') : null);
  const organizations = useOrganizationNames();
  const nameOf = (one: User) => userName(one, pages.rows ?? [], organizations);
  const columns: Column<User>[] = [
    { key: 'email', label: 'User', cell: (one) => <span dir="auto">{one.email || one.user_id}</span> },
    ...(areOfSeveral(pages.rows ?? []) ? [{ key: 'organization', label: 'Organization', cell: (one: User) => <span dir="auto">{organizations?.[one.org_id] ?? one.org_id}</span>, narrow: 'sub' as const }] : []),
    {
      key: 'spent', label: 'Spent this month', narrow: 'sub',
      cell: (one) => <Meter used={one.current_usage_usd} allowed={one.monthly_limit_usd} label="Budget"
        text={<><Money usd={one.current_usage_usd} /> of <Money usd={one.monthly_limit_usd} /></>} />,
    },
    { key: 'status', label: 'State', cell: (one) => <State state={one.status} tone={one.status === 'active' ? 'good' : 'warn'} />, narrow: 'side' },
    { key: 'models', label: 'Models', cell: (one) => (one.allowed_models.length === 0 ? 'all' : one.allowed_models.join(', ')), narrow: 'hide' },
    { key: 'made', label: 'Made', align: 'right', cell: (one) => <Time at={one.created_at} />, narrow: 'hide' },
  ];
  const change = useAction(async (ids: string[], status: 'active' | 'suspended') => {
    if (await setStatus(pages.rows ?? [], ids, status)) choose([]);
  });
  const button = may && <Button kind="primary" onClick={() => setCreate('1')}>Create a user</Button>;
  return (
    <Page title="Users and keys" action={button} state={pages.rows && search.q === undefined && <>{pages.hasMore ? `${pages.rows.length}+ users` : counted(pages.rows.length, 'user')}, each with a budget of their own</>}>
      {search.bar(pages)}
      <Table label="Users" rows={pages.rows} columns={columns} idOf={(one) => one.user_id} nameOf={nameOf} linkOf={(one) => href(`/ai/users/${one.user_id}`)}
        {...(may && { selected: chosen, onSelect: choose })} error={pages.error} onRetry={pages.refresh}
        bulk={(ids) => (
          <><Button busy={change.busy} onClick={() => void change.run(ids, 'suspended')}>Suspend</Button>
            <Button busy={change.busy} onClick={() => void change.run(ids, 'active')}>Let call</Button></>
        )}
        empty={search.empty(pages, <Empty action={button} command={`kvcs admin user create --email ada@example.com --org ${organization || me?.organization_id || 'ORG_ID'} --limit 50`}>A user calls models with a key, up to a budget.</Empty>)} />
      <Pager shown={pages.rows?.length ?? 0} hasMore={pages.hasMore} busy={pages.busy} onMore={pages.more} />
      {create !== '' && me && may && <CreateUser organization={organization || (me.organization_id ?? '')} onClose={() => setCreate('')} />}
      {me && isOperator(me) && <p class="muted small">Users of all organizations are here; <a href={href('/ops/organizations')}>organizations</a> have budgets of their own.</p>}
    </Page>
  );
}
