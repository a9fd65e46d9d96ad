// The own name, the organizations one is in, and the end of the account.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { changeMe, type Me, setMe, useMe } from '../../api/session';
import { href, navigate } from '../../router';
import {
  Badge,
  Button,
  type Column,
  Confirm,
  Field,
  Form,
  Page,
  Section,
  State,
  Table,
  toast,
} from '../../ui';
import { AccountTabs } from './AccountTabs';
import { ItIsYou } from './ItIsYou';

type Place = NonNullable<Me['organizations']>[number];
const columns: Column<Place>[] = [
  { key: 'name', label: 'Organization', cell: (place) => <span dir="auto">{place.name}</span> },
  { key: 'role', label: 'Role', cell: (place) => <Badge>{place.role}</Badge> },
  { key: 'slug', label: 'In addresses', cell: (place) => <code>{place.slug}</code> },
  { key: 'state', label: 'State', align: 'right', cell: (place) => <State state={place.status} /> },
];

function EndOfAccount({ me }: { me: Me }) {
  const [leaving, setLeaving] = useState(false);
  const [proving, setProving] = useState(false);
  const end = async (body: Schema<'Confirmation'>) => {
    await api.delete('/api/v1/me', { body });
    setMe(null);
    navigate(href('/login'));
    toast('Your account is deleted.');
  };
  return (
    <>
      <Section
        title="Delete the account"
        note="Organizations that nobody else is in go too, in 7 days. Of one with others in it somebody else must be an owner first."
      >
        <div>
          <Button kind="danger" onClick={() => setLeaving(true)}>
            Delete my account …
          </Button>
        </div>
      </Section>
      {leaving && (
        <Confirm
          title="Delete the account"
          typed={me.email ?? ''}
          action="Delete my account"
          onConfirm={async () => setProving(true)}
          onClose={() => setLeaving(false)}
        >
          <p>This cannot be undone. Your sessions end at once.</p>
        </Confirm>
      )}
      {proving && <ItIsYou act={end} onClose={() => setProving(false)} />}
    </>
  );
}

export default function AccountPage() {
  const me = useMe();
  if (!me) return null;
  return (
    <Page
      title="Account"
      state={
        <>
          You are <b dir="auto">{me.name || me.email}</b>, signed in as {me.email}.
        </>
      }
    >
      <AccountTabs />
      <Section title="Name">
        <Form
          submit="Save name"
          onSubmit={async ({ name = '' }) => {
            await changeMe({ name });
            toast('Name saved.');
          }}
        >
          <Field
            name="name"
            label="Name"
            defaultValue={me.name ?? ''}
            autocomplete="name"
            maxLength={200}
            required
          />
        </Form>
      </Section>
      <Section title="Organizations">
        <Table
          label="Organizations"
          rows={me.organizations ?? []}
          columns={columns}
          idOf={(place) => place.organization_id}
          empty={<p>You are in no organization. Somebody who is in one can invite you.</p>}
        />
      </Section>
      <EndOfAccount me={me} />
    </Page>
  );
}
