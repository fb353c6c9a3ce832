// TypeScript to JavaScript, file by file and without a look at the types: compile.js FILE...
const fs = require('fs');
const ts = require('/usr/share/nodejs/typescript');

const compilerOptions = { target: 'es2022', module: 'commonjs', esModuleInterop: true };
for (const file of process.argv.slice(2)) {
  const { outputText } = ts.transpileModule(fs.readFileSync(file, 'utf8'), { compilerOptions });
  fs.writeFileSync(file.replace(/\.ts$/, '.js'), outputText);
}
