import test from 'ava';
import { asTyped, invocationOf } from '../src/invocation.ts';
import { sandbox } from './_support/project.ts';

test('commands begin as the user began', (t) => {
  t.is(invocationOf({}), 'ktx');
  t.is(invocationOf({ npm_command: 'exec' }), 'npx @kaelio/ktx');
  t.is(invocationOf({ npm_command: 'run-script', npm_lifecycle_event: 'npx' }), 'npx @kaelio/ktx');
  const text = 'Try "ktx sl list", npx @kaelio/ktx demo, /opt/ktx demo; ktx writes its SQL.';
  t.is(asTyped(text, 'ktx'), text);
  t.is(
    asTyped(text, 'npx @kaelio/ktx'),
    'Try "npx @kaelio/ktx sl list", npx @kaelio/ktx demo, /opt/ktx demo; ktx writes its SQL.',
  );
});

test('the fix of a failure can be typed under npx', async (t) => {
  const { ktx } = sandbox(t);
  const { stderr } = await ktx(['sl', 'list'], { env: { npm_command: 'exec' } });
  t.regex(stderr, /"npx @kaelio\/ktx init", try "npx @kaelio\/ktx demo"/);
});
