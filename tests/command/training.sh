#!/usr/bin/env bash
# Trains with the tapegrad command: checkpoints, signals and reports.
# usage: tests/command/training.sh TAPEGRAD_COMMAND MNIST_FOLDER
# shellcheck source=tests/command/support.sh
source "$(dirname "$0")/support.sh"

# ---- signals ----
begun="grep -q '^epoch' '$work/out'"
interrupt INT "$begun" "${train[@]}" --epochs 100000
check "Ctrl-C exits with 130" [ $? -eq 130 ]
check "Ctrl-C says what is kept" grep -q 'interrupted after [0-9]* iterations' "$work/out"
check "Ctrl-C leaves the parameters" [ -s "$work/run/parameters.safetensors" ]

# ---- checkpoints ----
long=(train --data "$mnist" --batch-norm --dropout 0.2 --optimizer adam --lr 0.01 --schedule cosine --validation 0.1
  --hidden 40 --model multi-layer --standardize --plateau 1)
resumed=$work/resumed
expect 0 'parameters and history' "${long[@]}" --epochs 5 --out "$work/whole"
interrupt KILL "grep -qE '^epoch +2' '$work/out'" "${long[@]}" --epochs 5 --out "$resumed" --checkpoint-every 10
expect 0 'goes on from .*checkpoints/checkpoint-[0-9]*.safetensors, after [1-4] epochs' train --resume "$resumed" --threads 2
for file in parameters.safetensors best.safetensors; do
  check "after a kill $file is as without" cmp "$work/whole/$file" "$resumed/$file"
done
# Its last two columns are times.
check "after a kill history.csv is as without" cmp <(sed 's/,[^,]*,[^,]*$//' "$work/whole/history.csv") \
  <(sed 's/,[^,]*,[^,]*$//' "$resumed/history.csv")
check "the last three checkpoints stay" [ "$(ls "$resumed/checkpoints" | wc -l)" -eq 3 ]
expect 0 'all 270 iterations are done' train --resume "$resumed"
check "and nothing is changed then" cmp "$work/whole/parameters.safetensors" "$resumed/parameters.safetensors"
expect 0 '^  --epochs is 6, was 5$' train --resume "$resumed" --epochs 6 --lr 0.02 --report "$work/report.html"
check "what is different is listed" grep -q '^  --lr is 0.02, was 0.01$' "$work/out"
check "an epoch more" [ "$(wc -l <"$resumed/history.csv")" -eq 7 ]
check "its gradients were measured, for the report" awk -F, 'NR > 1 && ($10 > 0) != (NR > 6) { bad = 1 } END { exit bad }' "$resumed/history.csv"
check "the report has the epochs before" bash -c "grep -q '<th>resume</th>' '$work/report.html'"
expect 2 '--batch is 50, was 100, --seed is 3, was 0; these may change: --data, --csv, --test-csv, --epochs' train --resume "$resumed" --seed 3 --batch 50
expect 2 '--layers is affine:10, was not given' train --resume "$resumed" --layers affine:10
# As a version has written it that did not measure these.
cp -r "$resumed" "$work/older"
cut -d, -f1-8 "$resumed/history.csv" >"$work/older/history.csv"
expect 0 'all 324 iterations are done' train --resume "$work/older"
check "a history without the later columns gets them" cmp "$resumed/history.csv" "$work/older/history.csv"
# A run that has gone further than its last checkpoint keeps what it has, where nothing is trained.
cp -r "$resumed" "$work/further"
cp "$work/report.html" "$work/further/report.html"
rm "$work/further/checkpoints/$(ls "$work/further/checkpoints" | tail -1)"
expect 0 'the run has gone further than its last checkpoint: its files stay as they are' train --resume "$work/further" --epochs 5 \
  --report "$work/further/report.html"
for file in parameters.safetensors best.safetensors history.csv; do
  check "the later $file is kept" cmp "$resumed/$file" "$work/further/$file"
done
check "and the later report" cmp "$work/report.html" "$work/further/report.html"
# As a run leaves it that a signal has ended in the last evaluation.
awk -F, -v OFS=, 'NR == 7 { $5 = $6 = "" } { print }' "$resumed/history.csv" >"$work/older/history.csv"
check "a test score is missing" bash -c "! cmp -s '$resumed/history.csv' '$work/older/history.csv'"
expect 0 'all 324 iterations are done' train --resume "$work/older"
check "a test score that is missing is made up for" cmp "$resumed/history.csv" "$work/older/history.csv"
# One run at a time in a folder.
exec 9<"$resumed"
flock -n 9
expect 2 '--resume .*: another run is at work there; give another folder, or wait for its end' train --resume "$resumed"
expect 2 '--out .*: another run is at work there' "${long[@]}" --out "$resumed" --force
exec 9<&-
# What is refused before the first update leaves nothing that the next run would have to replace.
"$tapegrad" train --data "$mnist" --out "$work/refused" --layers flatten,affine:10,batch-norm --batch 1 >/dev/null 2>"$work/err"
check "batch norm of one item is refused" [ $? -eq 2 ]
check "and it says why" grep -q 'a batch of 1 in training.*take larger batches' "$work/err"
check "a run that is refused leaves no file" [ -z "$(ls -A "$work/refused")" ]
expect 1 '--out /dev/null/run: cannot make the folder' train --data "$mnist" --out /dev/null/run
expect 2 '--out excludes --resume' train --resume "$resumed" --out "$work/run"
expect 2 'has checkpoints of another run.*go on with that by --resume' "${long[@]}" --out "$resumed"
# With --force they go, when training begins.
cp -r "$resumed" "$work/replaced"
expect 0 'parameters and history' "${long[@]}" --out "$work/replaced" --force --iterations 7 --checkpoint-every 7
check "checkpoints of the run that is replaced are gone" [ "$(ls "$work/replaced/checkpoints" | wc -l)" -eq 1 ]
check "that is told before anything is written" [ "$(wc -l <"$resumed/history.csv")" -eq 7 ]
expect 1 'there are no checkpoints in .*--checkpoint-every' train --resume "$work/whole"
expect 2 '--checkpoint-every' "${long[@]}" --out "$work/run" --checkpoint-every 0
# A run's folder of somebody else: what it writes stays in it, unless this command names a file.
stranger=$work/stranger
expect 0 'the report is' "${train[@]/$work\/run/$stranger}" --iterations 20 --checkpoint-every 10 \
  --report "$work/theirs.html"
rm "$work/theirs.html"
expect 0 '^  --report is not given, was .*theirs.html$' train --resume "$stranger" --iterations 30
check "a report that the checkpoint alone names is not written" [ ! -e "$work/theirs.html" ]
expect 0 'the report is' train --resume "$stranger" --iterations 40 --report "$work/mine.html"
check "one that is asked for is" [ -s "$work/mine.html" ]
expect 0 'the report is' train --resume "$stranger" --iterations 41 --report "$stranger/page.html" --checkpoint-every 1
rm "$stranger/page.html"
expect 0 'the report is' train --resume "$stranger" --iterations 42
check "one in the run's own folder is" [ -s "$stranger/page.html" ]
ln -sf "$work/precious" "$stranger/page.html"
expect 0 '^  --report is not given, was .*page.html$' train --resume "$stranger" --iterations 43
check "and not where a link leads" [ ! -e "$work/precious" ]
for file in history.csv parameters.safetensors best.safetensors checkpoints/checkpoint-00000050.safetensors; do
  mkdir -p "$work/linked" && rm -rf "$work/linked" && cp -r "$stranger" "$work/linked"
  printf mine >"$work/precious"
  ln -sf "$work/precious" "$work/linked/$file"
  expect 1 "$file is a link.*own folder" train --resume "$work/linked" --iterations 60
  check "nothing is written where $file leads" [ "$(cat "$work/precious")" = mine ]
done
rm -rf "$work/linked" && cp -r "$stranger" "$work/linked" && mv "$work/linked/checkpoints" "$work/elsewhere"
ln -s "$work/elsewhere" "$work/linked/checkpoints"
expect 1 'checkpoints is a link' train --resume "$work/linked" --iterations 60
newest=$(ls "$resumed/checkpoints"/* | tail -1)
printf x >>"$newest"
expect 0 'warning: .*is damaged.*skipped for the one before' train --resume "$resumed"
for file in "$resumed/checkpoints"/*; do : >"$file"; done
expect 1 'no checkpoint in the folder .* can be read' train --resume "$resumed"

for signal in INT TERM HUP; do
  interrupt $signal "$begun" "${long[@]}" --epochs 500 --out "$work/$signal" --checkpoint-every 1000
  check "SIG$signal exits with 128 and its number" [ $? -eq $((128 + $(kill -l $signal))) ]
  check "SIG$signal says how to go on" grep -q 'the last checkpoint is .*, from which --resume' "$work/out"
done
# Who reads the output ends it, too: the first line is all that is asked for.
"$tapegrad" "${long[@]}" --epochs 500 --out "$work/PIPE" --checkpoint-every 1000 2>"$work/err" | head -1 >"$work/out"
check "SIGPIPE exits with 128 and its number" [ "${PIPESTATUS[0]}" -eq 141 ]
check "without a word" [ ! -s "$work/err" ]
check "SIGPIPE leaves the parameters" [ -s "$work/PIPE/parameters.safetensors" ]
expect 0 'goes on from' train --resume "$work/PIPE" --epochs 1
(trap '' PIPE; "$tapegrad" "${train[@]/$work\/run/$work/ignored}" --epochs 3 2>"$work/err" || touch "$work/failed") | head -1 >"$work/out"
check "where it is ignored training goes on to its end" [ ! -e "$work/failed" ]
check "and nothing of it is lost" [ "$(wc -l <"$work/ignored/history.csv")" -eq 4 ]
# In the middle of an evaluation, of 6,000 images in batches of 1,000: behind the checkpoint of the only update.
evaluated=(train --data "$mnist" --model deep-conv --batch 10 --iterations 1 --optimizer adam --lr 0.001 --checkpoint-every 1)
interrupt TERM "ls '$work/evaluated/checkpoints'/checkpoint-*.safetensors >/dev/null 2>&1" "${evaluated[@]}" \
  --out "$work/evaluated" --report "$work/evaluated.html"
check "SIGTERM in an evaluation exits with 143" [ $? -eq 143 ]
check "it does not wait for its end" bash -c "! grep -q '^epoch' '$work/out' && [ \$(wc -l <'$work/evaluated/history.csv') -eq 1 ]"
check "the parameters are saved" [ -s "$work/evaluated/parameters.safetensors" ]
check "and the report, as far as it goes" bash -c "grep -q '</html>' '$work/evaluated.html' && grep -q 'interrupted after 1 iterations.*from which --resume' '$work/evaluated.html' && ! grep -q 'Confusion matrix' '$work/evaluated.html'"
expect 0 '^epoch +1  iteration +1 .*test loss' train --resume "$work/evaluated"
expect 0 '^epoch +1  iteration +1 .*test loss' "${evaluated[@]}" --out "$work/evaluated.2"
check "what is resumed evaluates the same" cmp <(cut -d, -f1-7 "$work/evaluated/history.csv") \
  <(cut -d, -f1-7 "$work/evaluated.2/history.csv")
cp -r "$work/INT" "$work/INT.2"
expect 0 'goes on from' train --resume "$work/INT" --epochs 9
"$tapegrad" train --resume "$work/INT.2" --epochs 9 >"$work/out2" 2>&1
check "a stopped run goes on to the same bits" cmp "$work/INT/parameters.safetensors" "$work/INT.2/parameters.safetensors"

diverged=$work/diverged
expect 0 'parameters' "${train[@]/$work\/run/$diverged}" --epochs 1 --checkpoint-every 50
expect 1 'diverged in epoch .*lower rate.*the last checkpoint is .*checkpoint-000002' train --resume "$diverged" --epochs 2 --lr 1e30 \
  --checkpoint-every 1 --report "$work/diverged.html"
check "the report says how it ended" grep -q 'ended early. trainer: diverged in epoch 2' "$work/diverged.html"
expect 0 'after 1 epochs and 60 iterations' train --resume "$diverged" --epochs 2 --lr 0.05
# As on a full disk: files of so many blocks at most.
(trap '' XFSZ; ulimit -f 100; "$tapegrad" "${train[@]/$work\/run/$work/full}" --iterations 60 --checkpoint-every 20) >"$work/out" 2>"$work/err"
check "a full disk exits with 1" [ $? -eq 1 ]
check "and says so" grep -q "^tapegrad: after 20 iterations: .*checkpoint-000001.safetensors' cannot be written: File too large$" "$work/err"

# ---- reports ----
expect 0 'the report is' "${train[@]}" --iterations 60 --validation 0.1 --report "$work/report.html"
for part in '</html>' 'Loss' 'Accuracy' 'validation' 'Misclassified test items' 'affine1.weight' 'Learning rate' 'Gradient norm' \
  '<p>Best epoch 2 of 2, by the validation loss: test accuracy [0-9.]* %, test loss [0-9.]*, validation accuracy' \
  '<th>parameters</th><td>39760</td>' '<th>versions</th><td>tapegrad [0-9.]*, ' '<th>matrix products</th>' '<th>date</th><td>20' \
  "<th>command</th><td>.*tapegrad train --data $mnist --out $work/run --force --iterations 60 --validation 0.1 --report" \
  'Precision and recall' 'Confusion matrix' '>initial<' '>epoch 2<' '>input .100, 784.<' '>targets .100. i64<' 'softmax_with_loss' '<th>optimizer</th><td>sgd</td>' \
  '<th>iterations</th><td>60</td>'; do
  check "'$part' in the report" grep -q "$part" "$work/report.html"
done
check "no filters of a network without convolutions in the report" bash -c "! grep -q 'Filters of' '$work/report.html'"
check "only what was asked for in the report" bash -c "! grep -q '<th>epochs</th>' '$work/report.html'"
expect 0 '^<!DOCTYPE html>' "${train[@]}" --iterations 5 --report -
check "the page alone is on the standard output" bash -c "tail -1 '$work/out' | grep -qx '</html>' && ! grep -q '^epoch' '$work/out'"
check "the progress on the standard error" grep -q '^the report is in the standard output' "$work/err"
for name in "it's" 'a $b'; do expect 0 'the report is' "${train[@]}" --iterations 5 --report "$work/$name.html"; done
check "a name is quoted in the report's command" grep -qF -- "--report &quot;$work/it's.html&quot;</td>" "$work/it's.html"
check "so is one that means something within double quotes" grep -qF -- "--report '$work/a \$b.html'</td>" "$work/a \$b.html"

# The first 300 images of each file: convolutions are long to evaluate under sanitizers.
few=$work/few
mkdir "$few"
for kind in train t10k; do
  (printf '\0\0\10\3\0\0\1\54\0\0\0\34\0\0\0\34'
    gzip -dc "$mnist/$kind-images-idx3-ubyte.gz" | tail -c +17 | head -c $((300 * 28 * 28))) >"$few/$kind-images-idx3-ubyte"
  (printf '\0\0\10\1\0\0\1\54'
    gzip -dc "$mnist/$kind-labels-idx1-ubyte.gz" | tail -c +9 | head -c 300) >"$few/$kind-labels-idx1-ubyte"
done
expect 0 'conv1 +Conv2d +\[30, 24, 24\] +780' "${train[@]/$mnist/$few}" --model simple-conv --iterations 2 --optimizer adam --lr 0.001 \
  --report "$work/report.html"
for part in 'Most confused' 'true [0-9], predicted [0-9]: [0-9]* of [0-9]*' 'Filters of conv1' 'Before training' 'After training' \
  'Feature maps of conv1'; do
  check "'$part' in the report of a convolutional network" grep -q "$part" "$work/report.html"
done
check "it says what was trained" grep -aq '"model":"1x28x28 conv:30x5,relu,pool:2,flatten,affine:100,relu,affine:10 std:0.01"' "$work/run/parameters.safetensors"
expect 0 'in all +[0-9]+' "${train[@]/$mnist/$few}" --model deep-conv --iterations 2 --batch 20 --standardize --weight-decay 1e-4

finish "The command trains, stops and goes on as it should."
