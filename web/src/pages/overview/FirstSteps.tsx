// What to do first. The list goes away when all is done, or when it is put away.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, mayManage, mayWrite, type Me } from '../../api/session';
import { href } from '../../router';
import { Button, Section } from '../../ui';

const putAwayName = 'kvcs.first_steps';
interface Step {
  label: string;
  why: string;
  href: string;
  done: boolean;
}

function isPutAway(): boolean {
  try {
    return localStorage.getItem(putAwayName) === 'done';
  } catch {
    return false;
  }
}

export function FirstSteps({
  me,
  artifacts,
  members,
  spent,
}: {
  me: Me;
  artifacts: number;
  members: number;
  spent: number;
}) {
  const [away, setAway] = useState(isPutAway);
  const admin = isOperator(me) || mayManage(me);
  const at = me.organization_id ?? '';
  const users = useQuery(admin && !away ? `/admin/users@${at}` : null, (signal) =>
    api.get('/admin/users', { query: { limit: 1 }, signal }),
  );
  const accounts = useQuery(admin && !away ? `/admin/tenants@${at}` : null, (signal) =>
    api.get('/admin/tenants', { query: { limit: 1 }, signal }),
  );
  if (away || !mayWrite(me)) return null;
  if (admin && ((!users.data && !users.error) || (!accounts.data && !accounts.error))) return null;
  const steps: Step[] = [
    {
      label: 'Upload a first artifact',
      why: 'Drop a .kv file on the page and share it by a link.',
      href: href('/artifacts', { upload: true }),
      done: artifacts > 0,
    },
    ...(admin
      ? [
          {
            label: 'Create an AI user with a budget',
            why: 'A person or a program that may call models, up to so many dollars a month.',
            href: href('/ai/users'),
            done: (users.data?.users.length ?? 0) > 0,
          },
          {
            label: 'Send a first chat',
            why: 'From the playground; it shows cost, tokens and timing.',
            href: href('/ai/playground'),
            done: spent > 0,
          },
          {
            label: 'Set up calls of other services',
            why: 'Connect an account; agents call through the gateway and never see its token.',
            href: href('/gateway/catalogue'),
            done: (accounts.data?.tenants.length ?? 0) > 0,
          },
          {
            label: 'Invite somebody',
            why: 'Members have roles: owner, admin, member, viewer.',
            href: href('/organization'),
            done: members > 1,
          },
        ]
      : []),
  ];
  const left = steps.filter((step) => !step.done);
  if (left.length === 0) return null;
  const putAway = () => {
    setAway(true);
    try {
      localStorage.setItem(putAwayName, 'done');
    } catch {
      // A browser that keeps nothing shows the list again.
    }
  };
  return (
    <Section
      title="First steps"
      note={`${steps.length - left.length} of ${steps.length} done`}
      action={
        <Button kind="quiet" onClick={putAway}>
          Put away
        </Button>
      }
    >
      <ol class="first-steps">
        {steps.map((step) => (
          <li key={step.label} class={step.done ? 'done' : ''}>
            <span class="step-mark" aria-hidden="true">
              {step.done ? '✓' : '○'}
            </span>
            <span>
              {step.done ? <span>{step.label}</span> : <a href={step.href}>{step.label}</a>}
              <span class="visually-hidden">{step.done ? ' (done)' : ' (to do)'}</span>
              {!step.done && <span class="muted step-why">{step.why}</span>}
            </span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
