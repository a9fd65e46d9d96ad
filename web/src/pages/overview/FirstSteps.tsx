// What to do first. The daemon says what is done; the list goes away when all is, or when it is put
// away.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import { isOperator, mayManage, mayOperate, mayWrite, type Me } from '../../api/session';
import { href } from '../../router';
import { Button, Section } from '../../ui';

const path = '/api/v1/first-steps';
const putAwayName = 'kvcs.first_steps';
type Name = Schema<'FirstStep'>['name'];

interface Step {
  label: string;
  why: string;
  href: string;
  // Whom the step is for; left out: for all who write.
  shows?: (me: Me) => boolean;
}

const manages = (me: Me) => isOperator(me) || mayManage(me);
export const stepWords: Record<Name, Step> = {
  artifact: {
    label: 'Upload a first artifact',
    why: 'Drop a .kv file on the page.',
    href: href('/artifacts'),
  },
  share: {
    label: 'Share an artifact',
    why: 'Make a link for somebody, or publish it in the catalogue.',
    href: href('/artifacts'),
  },
  api_key: {
    label: 'Create an API key',
    why: 'Programs reach the artifacts with it.',
    href: href('/organization/keys'),
    shows: mayManage,
  },
  ai_provider: {
    label: 'Set up a model provider',
    why: 'Its key stays here; who calls a model never sees it.',
    href: href('/ai/providers'),
    shows: mayOperate,
  },
  ai_user: {
    label: 'Create an AI user with a budget',
    why: 'A person or a program that may call models, up to so many dollars a month.',
    href: href('/ai/users'),
    shows: manages,
  },
  chat: {
    label: 'Send a first chat',
    why: 'From the playground; it shows cost, tokens and timing.',
    href: href('/ai/playground'),
    shows: manages,
  },
  account: {
    label: 'Connect an account of a service',
    why: 'Agents call the service through the gateway and never see its token.',
    href: href('/gateway'),
    shows: manages,
  },
};

function isPutAway(): boolean {
  try {
    return localStorage.getItem(putAwayName) === 'done';
  } catch {
    return false;
  }
}

// `budget`: what the organization may spend on models in a month; null: no limit.
export function FirstSteps({ me, budget }: { me: Me; budget: number | null }) {
  const [away, setAway] = useState(isPutAway);
  const asks = !away && mayWrite(me) && me.organization_id;
  const { data } = useQuery(asks ? `${path}@${me.organization_id}` : null, (signal) =>
    api.get(path, { signal }),
  );
  if (away || !data) return null;
  const steps = data.steps
    .map((step) => ({ ...stepWords[step.name], ...step }))
    .filter((step) => step.shows?.(me) ?? true);
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
  // What holds a step up that the caller may not do themselves.
  const waits = (name: Name): string =>
    name === 'ai_user' && budget === 0
      ? ` The organization has no AI budget yet; ${isOperator(me) ? 'set it on the organization’s page under Operations' : 'an operator sets it'}.`
      : '';
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
          <li key={step.name} class={step.done ? 'done' : ''}>
            <span class="step-mark" aria-hidden="true">
              {step.done ? '✓' : '○'}
            </span>
            <span>
              {step.done ? <span>{step.label}</span> : <a href={step.href}>{step.label}</a>}
              <span class="visually-hidden">{step.done ? ' (done)' : ' (to do)'}</span>
              {!step.done && (
                <span class="muted step-why">
                  {step.why}
                  {waits(step.name)}
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
