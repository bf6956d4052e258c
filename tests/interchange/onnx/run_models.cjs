// Runs the models of a folder in onnxruntime and compares what they give with what is expected.
// usage: node run_models.cjs FOLDER_OF_NODE_MODULES FOLDER
'use strict';
const fs = require('fs');
const path = require('path');

const [modules, folder] = process.argv.slice(2);
const ort = require(path.resolve(modules, 'onnxruntime-node'));

const types = {
  f32: ['float32', Float32Array],
  f64: ['float64', Float64Array],
  i64: ['int64', BigInt64Array],
};

const elements = fs.readFileSync(path.join(folder, 'elements.bin'));

function load(stored) {
  const [type, ArrayType] = types[stored.type];
  const start = elements.byteOffset;
  const values = new ArrayType(elements.buffer.slice(start + stored.begin, start + stored.end));
  return new ort.Tensor(type, values, stored.dims);
}

const tolerance = 1e-5;

function differs(a, b) {
  if (typeof a === 'bigint') return a !== b;
  if (Number.isNaN(b)) return !Number.isNaN(a);
  return a !== b && !(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)));
}

// What is wrong with an output, or nothing.
function difference(got, expected) {
  if (got === undefined) return 'is missing';
  if (got.type !== expected.type) return `is of ${got.type}, expected ${expected.type}`;
  if (String(got.dims) !== String(expected.dims)) return `is [${got.dims}], expected [${expected.dims}]`;
  for (let i = 0; i < expected.data.length; ++i)
    if (differs(got.data[i], expected.data[i]))
      return `is ${got.data[i]} at flat index ${i}, expected ${expected.data[i]}`;
  return null;
}

// One thread, as the models are small and many.
const options = {logSeverityLevel: 3, intraOpNumThreads: 1, interOpNumThreads: 1};

async function main() {
  const all = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json')));
  const sessions = new Map();
  const failures = [];
  for (const c of all.cases) {
    try {
      if (!sessions.has(c.model))
        sessions.set(c.model, await ort.InferenceSession.create(path.join(folder, c.model), options));
      const session = sessions.get(c.model);
      const feeds = {};
      for (const input of c.inputs) feeds[input.name] = load(input);
      const results = await session.run(feeds);
      for (const output of c.outputs) {
        const wrong = difference(results[output.name], load(output));
        if (wrong) failures.push(`${c.model}: the output '${output.name}' ${wrong}`);
      }
    } catch (e) {
      failures.push(`${c.model}: ${e.message}`);
    }
  }
  for (const f of failures) console.error(f);
  if (failures.length > 0 || all.cases.length === 0) {
    console.error(`FAILED: ${failures.length} of ${all.cases.length} runs`);
    process.exit(1);
  }
  const version = ort.env.versions.node;
  console.log(`${all.cases.length} runs of ${sessions.size} models in onnxruntime ${version} give the same.`);
}

main();
