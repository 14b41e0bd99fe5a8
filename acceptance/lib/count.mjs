// Reporter that writes `PASSED FAILED` of the whole run, for the line that scripts/test ends with.
export default async function* count(events) {
  let passed = 0;
  let failed = 0;
  for await (const { type, data } of events) {
    if (data.details?.type === 'suite') continue;
    if (type === 'test:pass' && !data.skip && !data.todo) passed++;
    if (type === 'test:fail') failed++;
  }
  yield `${passed} ${failed}\n`;
}
