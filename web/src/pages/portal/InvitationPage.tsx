// Behind the link of an invitation: who invites, where and as what, or why the link works no longer.
// Whoever is signed in is asked whether to join, and joins by a request of their own; everybody else
// makes an account or signs in. The token is sent in bodies, since addresses are logged; only a provider of
// sign-ins is gone to with it, and then it is spent or asked about.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api, ApiError, type Schema } from '../../api/client';
import { useAction, useQuery } from '../../api/query';
import { changeMe, loadMe, type Me, signOut, useMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useTitle } from '../../router';
import { Button, ErrorBox, LinkButton, Skeleton, Time, toast } from '../../ui';
import { Begin, NoToken } from './BeginPage';
import { roleWords } from './roles';
import { Providers, SignIn } from './SignIn';

type Look = Schema<'InvitationLook'>;

const Named = ({ name }: { name: string }) => <b dir="auto">{name}</b>;

function Closed({ title, children, me }: { title: string; children: ComponentChildren; me: Me | null | undefined }) {
  return (
    <>
      <h1>{title}</h1>
      <p>{children}</p>
      {me ? <LinkButton kind="primary" href={href('/')}>To the overview</LinkButton>
        : <LinkButton kind="primary" href={href('/login')}>Sign in</LinkButton>}
    </>
  );
}

// Why the link works no longer, and what to do now.
export function closedWords({ state, organization }: Pick<Look, 'state' | 'organization'>): { title: string; text: string } {
  const where = organization === null ? '' : ` to ${organization}`;
  switch (state) {
    case 'used': return { title: 'This invitation was used', text: `An invitation works once, and somebody has joined${where} by this one. If it was you, sign in; else ask for a new one.` };
    case 'ended': return { title: 'This invitation has ended', text: `The invitation${where} was good for seven days. Ask whoever sent it for a new link.` };
    default: return { title: 'This invitation was withdrawn', text: 'Whoever made it has taken it back, sent a newer link in its place, or may not invite any more. Look for a newer link, or ask for one.' };
  }
}

// Somebody else's: an invitation that names an address is for the account of that address alone.
function ForAnother({ look, me }: { look: Look; me: Me }) {
  const leave = useAction(signOut);
  return (
    <>
      <p role="alert">
        The invitation is for <Named name={look.email ?? ''} />. You are signed in as <Named name={me.name ?? ''} />
        {me.email ? <> (<span dir="auto">{me.email}</span>)</> : ''}.
      </p>
      {leave.error && <ErrorBox error={leave.error} />}
      <p><Button kind="primary" busy={leave.busy} onClick={() => void leave.run()}>Sign out and go on as {look.email}</Button></p>
      <p class="small muted">If this account should join, ask <span dir="auto">{look.invited_by}</span> for an invitation that names no address.</p>
    </>
  );
}

// An account whose address nobody has verified takes no invitation that names an address.
function NotShown({ look, me }: { look: Look; me: Me }) {
  return (
    <p role="alert">
      Your account cannot take it: the invitation names an address, and no provider of sign-ins has verified that <Named name={me.email ?? ''} /> is
      yours. Ask <Named name={look.invited_by ?? 'whoever invites'} /> for an invitation that names no address, or
      {' '}<a href={href('/account')}>add a way to sign in</a> that verifies it.
    </p>
  );
}

function Join({ look, me, token }: { look: Look; me: Me; token: string }) {
  const { run, busy, error } = useAction(async () => {
    const joined = await api.post('/api/v1/invitations/accept', { body: { token } });
    await loadMe();
    await changeMe({ organization_id: joined.organization_id });
    // The link is spent: it leaves the address, and with it the history.
    navigate(href('/'), { replace: true });
    toast(`You have joined ${look.organization ?? 'the organization'}.`);
  });
  return (
    <>
      {error && <ErrorBox error={error} />}
      <p><Button kind="primary" busy={busy} onClick={() => void run()}>Join as {me.name}</Button></p>
    </>
  );
}

// A new account of the link's, or one that is there already. Coming back from another tab looks who is
// signed in.
function Stranger({ look, token }: { look: Look; token: string }) {
  const [hasAccount, setHasAccount] = useState(false);
  const ask = () => void loadMe().catch(() => undefined);
  useEffect(() => {
    addEventListener('focus', ask);
    return () => removeEventListener('focus', ask);
  }, []);
  return (
    <>
      {hasAccount ? <SignIn email={look.email ?? ''} invitation={token} onDone={ask} />
        : <><Begin way="invitation" token={token} email={look.email} /><Providers invitation={token} /></>}
      <p class="small">
        <button type="button" class="button quiet" onClick={() => setHasAccount(!hasAccount)}>
          {hasAccount ? 'I have no account yet' : 'I have an account: sign in'}
        </button>
      </p>
    </>
  );
}

function Open({ look, token, me }: { look: Look; token: string; me: Me | null | undefined }) {
  const isForAnother = me && look.email !== null && look.email !== (me.email ?? '').toLowerCase();
  return (
    <>
      <h1>Join <span dir="auto">{look.organization}</span></h1>
      <p>
        <Named name={look.invited_by ?? 'Somebody'} /> invites {look.email === null ? 'you' : <Named name={look.email} />} to
        join <Named name={look.organization ?? ''} /> as {look.role && roleWords[look.role]}.
        {' '}The link works once, until <Time at={look.expires_at} />.
      </p>
      {!me ? <Stranger look={look} token={token} /> : isForAnother ? <ForAnother look={look} me={me} />
        : look.email !== null && !me.email_verified ? <NotShown look={look} me={me} /> : <Join look={look} me={me} token={token} />}
      {me && <p class="small"><a href={href('/')}>Not now</a></p>}
    </>
  );
}

export default function InvitationPage({ query }: PageProps) {
  const token = query.get('token') ?? '';
  const me = useMe();
  const { data, error, refresh } = useQuery(token === '' ? null : `/auth/invitation#${token}`, (signal) =>
    api.post('/auth/invitation', { body: { token }, reads: true, signal }));
  useTitle('An invitation');
  if (token === '') return <NoToken title="An invitation" />;
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Closed title="This invitation is not known" me={me}>
        The link is not whole, or it is of long ago. Open it as it was sent to you, or ask for a new one.
      </Closed>
    );
  }
  if (error && !data) return <><h1>An invitation</h1><ErrorBox error={error} onRetry={refresh} /></>;
  if (!data) return <Skeleton />;
  if (data.state === 'open') return <Open look={data} token={token} me={me} />;
  const { title, text } = closedWords(data);
  return <Closed title={title} me={me}>{text}</Closed>;
}
