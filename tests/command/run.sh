#!/usr/bin/env bash
# Uses the tapegrad command as a user would, right and wrong: what it prints, what it writes, how it exits.
# training.sh does so with checkpoints, signals and reports.
# usage: tests/command/run.sh TAPEGRAD_COMMAND MNIST_FOLDER
# shellcheck source=tests/command/support.sh
source "$(dirname "$0")/support.sh"

# ---- what works ----
expect 0 'train.*gradcheck.*graph|gradcheck' --help
expect 0 '^tapegrad [0-9]+\.[0-9]+\.[0-9]+$' --version
expect 0 'multi-layer:' train --help
expect 0 'constant:value, xavier\[:gain\]' train --help
expect 0 '^matrix products: automatic: .*builtin kernels \([a-z0-9]+\)' --version
for command in train predict export gradcheck graph bench; do expect 0 "Usage: tapegrad $command" "$command" --help; done

expect 0 'epoch +3  iteration +150 ' "${train[@]}" --iterations 150 --lr 0.2
check "no control characters where the output is no terminal" bash -c "! grep -q $'[\r\x1b]' '$work/out'"
check "a line for each epoch" [ "$(wc -l <"$work/run/history.csv")" -eq 4 ]
check "a header in the history" grep -q '^epoch,iteration,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,gradient_norm,seconds,items_per_second$' "$work/run/history.csv"
check "parameters" [ -s "$work/run/parameters.safetensors" ]
check "it learns" awk -F, 'END { exit !($6 > 0.6) }' "$work/run/history.csv"
cp "$work/run/parameters.safetensors" "$work/one-thread"
expect 2 "another run has left its history.csv there; give another folder, or --force" train --data "$mnist" --out "$work/run"
check "what is refused leaves the folder as it is" cmp "$work/one-thread" "$work/run/parameters.safetensors"
expect 0 'epoch' "${train[@]}" --iterations 150 --lr 0.2 --threads 2
check "the same weights with two threads" cmp "$work/one-thread" "$work/run/parameters.safetensors"
expect 0 'epoch +1 ' "${train[@]}" --model multi-layer --hidden 30,20 --activation tanh --init xavier --optimizer adam \
  --lr 0.001 --epochs 1 --batch 500
expect 0 'epoch +1 ' "${train[@]}" --activation sigmoid --init he --optimizer adagrad --lr 0.01 --epochs 1
expect 0 'epoch +1 ' "${train[@]}" --optimizer momentum --lr 0.01 --epochs 1

for optimizer in nesterov rmsprop adamw; do
  expect 0 'epoch +1 ' "${train[@]}" --optimizer $optimizer --lr 0.001 --epochs 1
done
expect 0 '^epoch +2 .*validation loss .*test loss' "${train[@]}" --epochs 2 --validation 0.2 --schedule cosine --warm-up 10 \
  --weight-decay 1e-4 --clip 1 --batch-norm --dropout 0.1 --lr 0.5
check "validation in the history" grep -q ',validation_loss,validation_accuracy,learning_rate,' "$work/run/history.csv"
check "the best parameters" [ -s "$work/run/best.safetensors" ]
expect 0 'batch norm, dropout 0.1, weight decay 0.0001' "${train[@]}" --iterations 5 --weight-decay 1e-4 --batch-norm --dropout 0.1
expect 0 'relu std:0.01, standardised inputs,' "${train[@]}" --iterations 5 --standardize
check "the statistics are saved with the weights" grep -aq '"standardize.mean"' "$work/run/parameters.safetensors"
check "and the file says so" grep -aq '"model":"784-50-10 relu std:0.01, standardised inputs"' "$work/run/parameters.safetensors"
expect 0 'standardised inputs' "${train[@]}" --iterations 5 --standardize=pixels --report "$work/report.html"
check "the report names the setting" grep -q '<th>standardize</th><td>pixels</td>' "$work/report.html"
expect 0 'ended early' "${train[@]}" --epochs 500 --patience 1 --plateau 1 --validation 0.5 --optimizer adam --lr 0.01 \
  --batch 50 --schedule one-cycle

expect 0 'conv:4x3:same,relu,pool:7,flatten,affine:10 he' "${train[@]}" --layers conv:4x3:same,relu,pool:7,flatten,affine:10 \
  --iterations 2
expect 0 'nodes of 1x28x28' graph --model simple-conv --batch 2 --out "$work/conv.dot"
expect 0 'nodes of 2x9x9' graph --layers conv:3x3,flatten,affine:10 --inputs 2,9,9 --batch 2 --out "$work/conv.dot"

expect 0 'nodes of 784-50-10' graph --out "$work/net.dot"
check "a graph with shapes" grep -q 'affine\\n\[100, 50\]' "$work/net.dot"
expect 0 '^digraph' graph --out -
check "what is said of the standard output is not in it" bash -c "[ \$(grep -c 'nodes of' '$work/out') -eq 0 ] && grep -q 'nodes of' '$work/err'"
check "it is called so" grep -q '^the standard output: [0-9]* nodes' "$work/err"
expect 2 'picture is made by: tapegrad graph --out - \| dot -Tpng >.*net.png' graph --out "$work/net.png"
expect 2 'dot -Tpng >".*a net.PNG"' graph --out "$work/a net.PNG"
expect 0 'nodes of 784-50-10' graph --out "$work/NET.SVG"
check "a picture, whatever the size of the letters" grep -q '^<svg' "$work/NET.SVG"
# ---- an empty word, as of a shell's variable without a value ----
for option in data layers report test-csv resume; do
  expect 2 "--$option: it is empty, as where a shell's variable has no value" "${train[@]}" "--$option" ""
done
expect 2 '--out: it is empty' train --data "$mnist" --out ""
expect 2 '--out: it is empty' graph --out ""
# ---- in the words of the command ----
expect 2 '--batch 7000: there are 6000 images to train on' "${train[@]}" --batch 7000
expect 2 '--threads: 1000: it must be from 1 to 256' "${train[@]}" --threads 1000
for number in 010 0x2 1e2 99999999999999999999 2.5 ''; do
  expect 2 "--epochs: '$number' is no whole number" "${train[@]}" --epochs "$number"
done
expect 2 "--seed: '99999999999999999999999' is no whole number" "${train[@]}" --seed 99999999999999999999999
expect 2 '--lr: 1e-46: it must be at least 1e-30' "${train[@]}" --lr 1e-46
expect 2 "--hidden: '' is no whole number" "${train[@]}" --hidden ''
expect 2 'these arguments were not expected: --nosuch 1' train --nosuch 1
expect 2 '--out: it is a folder of several files; give its name' train --data "$mnist" --out -
expect 0 'each epoch leaves out 5 images, others each time, which fill no batch of 11' "${train[@]/$work\/run/$work/words}" --batch 11 --iterations 2
expect 0 '^\{' gradcheck --op relu --mode fast --format json --output -
expect 0 '^image,class,probability' predict --run "$work/run" --images "$mnist/t10k-images-idx3-ubyte.gz" --out -
expect 0 'nodes of 784-50-10' graph --out "$work/net.svg"
check "a picture of the graph" grep -q 'affine1.weight \[784, 50\]' "$work/net.svg"
expect 0 'tanh' gradcheck --op 'tan?' --op tan --order 2
expect 0 'matmul' gradcheck --list
expect 0 '^nn.Relu .*PASS$' gradcheck --module 'nn.*' --threads 2
check "modules alone" bash -c "! grep -q '^relu ' '$work/out'"
for i in 1 2 3; do expect 0 "\(shard $i/3 of [0-9]+\)" gradcheck --op 'm*' --module 'nn.*[mu]' --mode fast --shard "$i/3"; done
expect 0 'tanh.*PASS' gradcheck --op tanh --format json --output "$work/checks.json"
check "JSON in the file" grep -q '"format": "tapegrad gradcheck"' "$work/checks.json"
expect 0 '<testcase classname="gradcheck.ops.tanh"' gradcheck --op tanh --format junit
check "XML alone" grep -q '^<?xml' <(head -1 "$work/out")
expect 0 'tanh.*PASS' gradcheck --op tanh --mode fast --dtype f64 --order 3
expect 0 '[0-9]+ mutations in 1 ops: [0-9]+ killed' gradcheck --op tanh --self-test
expect 0 '^PASS; [0-9]+ derivatives of one sample' gradcheck --repro 'matmul#7:seed=42' --order 2

expect 0 'W1 .*784-50-10' bench --list
expect 0 'tapegrad' bench --filter W1 --runs 1 --seconds 0.01 --json "$work/bench.json"
for key in workload contender threads metric unit higher_is_better median min max runs ratios; do
  check "'$key' in the benchmark's file" grep -q "\"$key\":" "$work/bench.json"
done
check "rates are those of the shapes, and their shares those of what the same run has measured" \
  python3 -B "$(dirname "$0")/bench_shares.py" "$work/bench.json"
check "a workload that was not asked for is not in the file" bash -c "! grep -q '\"W[2-9]' '$work/bench.json'"
expect 0 'batch-4 ' bench --grow --filter 'batch-[14]' --runs 1 --seconds 0.001 --svg "$work/charts"
check "a chart of what grows" grep -q '<circle' "$work/charts/batch.svg"

# ---- tables and predictions ----
tables=$(dirname "$mnist")/tables
iris=(train --csv "$tables/iris.csv" --target species --task classification --batch 10 --init he)
mass=(train --csv "$tables/penguins.csv" --target body_mass_g --task regression --one-hot species,island,sex
  --missing mean --batch 20 --init he --lr 0.02)
expect 0 '4-50-3 relu he, standardised inputs, .* 108 training and 30 test rows' "${iris[@]}" --epochs 20 --out "$work/iris" --validation 0.1
expect 0 'the report is' train --csv "$tables/iris.csv" --target species --task classification --batch 10 --epochs 2 --out "$work/p" --report "$work/p.html"
check "classes have their names in the report" grep -q '<tr><td>versicolor</td><td>' "$work/p.html"
check "flowers are told apart" awk -F, 'END { exit !($6 > 0.85) }' "$work/iris/history.csv"
expect 0 'predictions of 150 rows' predict --run "$work/iris" --csv "$tables/iris.csv" --out "$work/flowers.csv"
check "a line for each row, with its class" grep -qE '^2,setosa,(0\.9[0-9]+|1\.0000)$' "$work/flowers.csv"
check "nearly all of them right" bash -c "[ \$(paste -d, <(tail -n +2 '$tables/iris.csv') <(tail -n +2 '$work/flowers.csv') |
  awk -F, '\$5 == \$7' | wc -l) -gt 135 ]"
# The same rows without their class, the columns in another order.
awk -F, -v OFS=, '{ print $4, $3, $2, $1 }' "$tables/iris.csv" >"$work/unknown.csv"
expect 0 '' predict --run "$work/iris" --csv "$work/unknown.csv" --out "$work/again.csv" --threads 2
cp "$tables/iris.csv" "$work/own.csv"
ln -s own.csv "$work/same.csv"
for out in own same; do
  expect 2 "--out: '$work/$out.csv' is read, and would be lost" \
    predict --run "$work/iris" --csv "$work/own.csv" --out "$work/$out.csv"
done
expect 2 "--out: '$work/iris/parameters.safetensors' is read" \
  export "$work/iris" --out "$work/iris/parameters.safetensors"
expect 2 "--report: '$work/own.csv' is read" train --csv "$work/own.csv" --target species --task classification \
  --epochs 1 --out "$work/lost" --report "$work/own.csv"
check "a table that is read is not written" cmp "$tables/iris.csv" "$work/own.csv"
check "classes are not needed" cmp "$work/flowers.csv" "$work/again.csv"
expect 0 '' predict --run "$work/iris" --best --csv "$work/unknown.csv" --out "$work/again.csv"
for out in history.csv best.safetensors; do
  expect 2 "--out: '$work/iris/$out' is of the run, and would be lost" \
    predict --run "$work/iris" --csv "$work/unknown.csv" --out "$work/iris/$out"
done
# Names that are numbers are names.
sed 's/species/2/' "$tables/iris.csv" >"$work/numbered.csv"
expect 0 ', 4-50-3 |^4-50-3 ' train --csv "$work/numbered.csv" --target 2 --task classification --batch 10 --epochs 1 --out "$work/p" --force
# A run that goes on finds columns by their names, wherever they now stand.
expect 0 'epoch +4' "${iris[@]}" --epochs 4 --checkpoint-every 5 --out "$work/moved"
expect 2 '--best: .*has no best.safetensors; train saves it where --validation' predict --best --run "$work/moved" \
  --csv "$work/unknown.csv" --out "$work/p.csv"
cp -r "$work/moved" "$work/unmoved"
awk -F, -v OFS=, '{ print $3, $5, $1, $4, $2 }' "$tables/iris.csv" >"$work/moved.csv"
expect 0 'epoch +6' train --resume "$work/unmoved" --epochs 6
expect 0 '--csv is .*moved.csv, was' train --resume "$work/moved" --epochs 6 --csv "$work/moved.csv"
check "columns that have moved are the same" cmp "$work/moved/parameters.safetensors" "$work/unmoved/parameters.safetensors"
sed 's/setosa/sauvage/' "$tables/iris.csv" >"$work/others.csv"
expect 1 "others.csv' line 2.*'sauvage'" train --resume "$work/moved" --epochs 7 --csv "$work/others.csv"
cut -d, -f1-4 "$tables/iris.csv" >"$work/untold.csv"
expect 2 "--csv: .*untold.csv' lacks the target species" train --resume "$work/moved" --epochs 7 --csv "$work/untold.csv"
expect 2 '--data: the run that is resumed is on a table' train --resume "$work/moved" --data "$mnist"
cut -d, -f1-3 "$tables/iris.csv" >"$work/few.csv"
expect 1 "few.csv' line 1 lacks the column 'petal_width'" predict --run "$work/iris" --csv "$work/few.csv" --out "$work/p.csv"

expect 0 'epoch +20 .* r2 0\.[0-9]+ .*test loss 0\.[0-9]+ r2' "${mass[@]}" --epochs 20 --out "$work/mass" --checkpoint-every 5
check "masses are explained" awk -F, 'END { exit !($4 > 0.75 && $6 > 0.6) }' "$work/mass/history.csv"
check "by this name" grep -q '^epoch,iteration,train_loss,train_r2,test_loss,test_r2,learning_rate,' "$work/mass/history.csv"
expect 0 'the report is' train --resume "$work/mass" --report "$work/mass.html"
for part in 'of 20, by the training loss: test r2 0' '<td>body_mass_g</td>' 'Errors of body_mass_g' '>targets .20, 1.<'; do
  check "'$part' in the report of a regression" grep -q "$part" "$work/mass.html"
done
expect 0 'predictions of 344 rows' predict --run "$work/mass" --csv "$tables/penguins.csv" --out "$work/masses.csv"
check "in grams" awk -F, 'NR == 1 { bad = $0 != "line,body_mass_g" }
  NR > 1 && !($2 > 2000 && $2 < 8000) { bad = 1 } END { exit bad }' "$work/masses.csv"
expect 0 'after 20 epochs' train --resume "$work/mass" --epochs 21
expect 0 '26 test rows' "${mass[@]}" --epochs 1 --out "$work/mass2" --test 0.075
expect 0 ' 342 training and 342 test rows' "${mass[@]}" --epochs 1 --out "$work/mass3" --test-csv "$tables/penguins.csv"
printf '1;2\n3;4\n5;6\n7;8\n' >"$work/bare.csv"
expect 0 ' 3 training and 1 test rows' train --csv "$work/bare.csv" --target -1 --task regression \
  --delimiter ';' --no-header --batch 1 --epochs 1 --test 0.25 --out "$work/bare"

expect 0 'relu' predict --run "$work/bare" --csv "$work/bare.csv" --out "$work/p.csv"
check "also without names" grep -q '^line,column 2$' "$work/p.csv"

# Networks of every kind are built again as they were.
for network in '--model multi-layer --hidden 30,20 --activation tanh --batch-norm --dropout 0.1 --standardize' \
  '--layers flatten,affine:20,relu,affine:10 --standardize=pixels' '--model simple-conv --hidden 10 --batch 20'; do
  # shellcheck disable=SC2086
  expect 0 'epoch' train --data "$mnist" --iterations 20 --init he --optimizer adam --lr 0.01 --out "$work/any" --force $network
  expect 0 'predictions of 1000 images' predict --run "$work/any" --images "$mnist/t10k-images-idx3-ubyte.gz" --out "$work/any.csv"
  right=$(paste -d, <(tail -n +2 "$work/any.csv") <(gzip -dc "$mnist/t10k-labels-idx1-ubyte.gz" | tail -c +9 | od -An -v -w1 -tu1 | tr -d ' ') |
    awk -F, '$2 == $4' | wc -l)
  check "the accuracy of $network is that of the training: $right" \
    [ "$(awk -F, 'END { printf "%.0f", 1000 * $6 }' "$work/any/history.csv")" -eq "$right" ]
done

expect 0 'predictions of 1000 images' predict --run "$work/run" --images "$mnist/t10k-images-idx3-ubyte.gz" --out "$work/digits.csv"
check "a line for each image" [ "$(wc -l <"$work/digits.csv")" -eq 1001 ]
check "with its class" grep -qE '^999,[0-9],[01]\.[0-9]{4}$' "$work/digits.csv"

# ---- models for other runtimes; tests/interchange runs such models ----
expect 0 "it takes 'images' \[batch, 1, 28, 28\] and gives 'scores'" export "$work/run" --out "$work/net.onnx"
check "its weights are in it" [ "$(stat -c %s "$work/net.onnx")" -ge "$(stat -c %s "$work/run/parameters.safetensors")" ]
check "with their names, and the network's" grep -qa 'relu' "$work/net.onnx"
expect 2 "the model is ONNX; give it a name that ends in .onnx" export "$work/run" --out "$work/net.pb"
check "nothing is written then" [ ! -e "$work/net.pb" ]
expect 0 'the model is in the standard output' export "$work/run" --out -
expect 0 "gives 'probabilities'" export "$work/run" --probabilities --out "$work/net.onnx"
check "through a softmax" grep -qa 'Softmax' "$work/net.onnx"
expect 0 "it takes 'features' \[batch, 4\]" export "$work/iris" --best --out "$work/iris.onnx"
check "which knows its classes" grep -qa 'virginica' "$work/iris.onnx"
expect 0 "gives 'predictions'" export "$work/mass" --out "$work/mass.onnx"
expect 2 'predicts numbers, not classes' export "$work/mass" --probabilities --out "$work/mass.onnx"
expect 1 'none/parameters.safetensors' export "$work/none" --out "$work/p.onnx"
expect 2 '--out is required' export "$work/run"
expect 1 "'$work' is a folder" export "$work/run" --out "$work"

expect 1 'digits.csv.*is no IDX file' predict --run "$work/run" --images "$work/digits.csv" --out "$work/p.csv"
expect 1 'expected images \[n, 28, 28\]' predict --run "$work/run" --images "$mnist/t10k-labels-idx1-ubyte.gz" --out "$work/p.csv"
expect 2 'trained on images; give --images' predict --run "$work/run" --csv "$tables/iris.csv" --out "$work/p.csv"
expect 2 'trained on a table; give --csv' predict --run "$work/iris" --images "$mnist/t10k-images-idx3-ubyte.gz" --out "$work/p.csv"
expect 1 'none/parameters.safetensors' predict --run "$work/none" --csv "$tables/iris.csv" --out "$work/p.csv"
expect 2 '--csv or --images' predict --run "$work/iris" --out "$work/p.csv"
expect 2 '--csv requires' train --csv "$tables/iris.csv" --out "$work/p"
expect 2 "tapegrad: --target names the column 'kind', which .* does not have" train --csv "$tables/iris.csv" --target kind --task regression --out "$work/p"
expect 1 "line 2, column 1 .* holds 'Adelie', which is no number" train --csv "$tables/penguins.csv" --target body_mass_g --task regression \
  --missing mean --out "$work/p"
expect 2 'it takes images; tables take' "${iris[@]}" --model simple-conv --out "$work/p"
printf 'a,k,t\n1,x,1\n,x,2\n3,x,3\n' >"$work/gaps.csv"
gaps=(train --csv "$work/gaps.csv" --target t --task regression --out "$work/p")
expect 1 "column 2 .'k'. holds 'x', which is no number; name a column of categories in --one-hot, one that is not to be read in --unused" "${gaps[@]}"
expect 1 "column 1 .'a'. has no value; --missing drop-row leaves such rows out, --missing mean takes the mean" "${gaps[@]}" --one-hot k
sed '3s/^[^,]*//' "$tables/iris.csv" >"$work/gap.csv"
expect 1 "gap.csv' line 3, column 1 .* has no value; train --missing drop-row leaves such rows out, train --missing mean takes" \
  predict --run "$work/iris" --csv "$work/gap.csv" --out "$work/p.csv"
# Numbers of rows without a name, as other tools write them, and rows without names.
nl -w1 -s, "$tables/iris.csv" | sed '1s/^1//' >"$work/unnamed.csv"
unnamed=(train --csv "$work/unnamed.csv" --target species --task classification --batch 10 --epochs 1 --out "$work/unnamed")
expect 1 "unnamed.csv' line 1, column 1 has no name; name it, leave it out by its number in --unused, or say that" "${unnamed[@]}"
expect 0 '4-50-3 relu' "${unnamed[@]}" --unused 1
expect 0 'predictions of 150 rows' predict --run "$work/unnamed" --csv "$work/unnamed.csv" --out "$work/p.csv"
tail -n +2 "$tables/iris.csv" >"$work/rows.csv"
rows=(train --csv "$work/rows.csv" --target -1 --task classification --batch 10 --epochs 1 --out "$work/rows")
expect 1 "rows.csv' line 1 has numbers as the names of all columns of numbers, .* no header .--no-header." "${rows[@]}"
expect 0 '120 training and 30 test rows' "${rows[@]}" --no-header
expect 2 "test-csv: .*untold.csv' lacks the target species" "${iris[@]}" --test-csv "$work/untold.csv" --out "$work/p"
expect 2 "the column 'species' is named by --target and by --target" train --csv "$tables/iris.csv" --target 5,species \
  --task regression --out "$work/p"
cp "$work/gaps.csv" "$work/sales by index.csv"
expect 1 "sales by index.csv' line 2" train --csv "$work/sales by index.csv" --target t --task regression --out "$work/p"
{ echo name,t; for i in {1..101}; do echo "n$i,$i"; done; } >"$work/many.csv"
expect 1 "--one-hot makes a column of each. Leave it out by --unused" train --csv "$work/many.csv" --target t --one-hot name \
  --task regression --out "$work/p"
expect 2 "the column 'species' is named by --one-hot and by --task classification" "${iris[@]}" --one-hot species --out "$work/p"
printf 'a,k,m\n1,x,y\n2,x,z\n3,x,y\n4,x,z\n' >"$work/kinds.csv"
expect 2 "the target 'k' has one category, 'x', in all rows" train --csv "$work/kinds.csv" --target k --one-hot m --task classification \
  --test 0.5 --out "$work/p"
printf 'a,k\n1,3\n2,3\n3,3\n4,3\n' >"$work/constant.csv"
expect 2 "the target 'k' is 3 in all rows to train on: there is nothing to learn" train --csv "$work/constant.csv" \
  --target k --task regression --test 0.5 --out "$work/p"
expect 2 "one-hot: 'm' is a target, and --task regression predicts numbers" train --csv "$work/kinds.csv" --target 1,m --one-hot m,k \
  --task regression --test 0.5 --out "$work/p"
expect 2 'task classification has one' train --csv "$tables/iris.csv" --target 1,species --task classification --out "$work/p"
expect 2 '--test 0.001: of 150 rows that is 0' "${iris[@]}" --test 0.001 --out "$work/p"

# ---- what does not ----
expect 2 'command' 
expect 2 "no command 'fit'" fit
expect 2 '--data' train --out "$work/run"
expect 2 '--out' train --data "$mnist"
expect 2 'sgdd' "${train[@]}" --optimizer sgdd
expect 2 'three-layer' "${train[@]}" --model three-layer
expect 2 'maxout' "${train[@]}" --activation maxout
expect 2 'zero' "${train[@]}" --init zero
expect 2 'two-layer' "${train[@]}" --hidden 50,100
for list in 10,,10 10, ,10; do
  expect 2 "--hidden $list: one of the values between the commas is empty" "${train[@]}" --model multi-layer --hidden $list
  expect 2 "--hidden $list: one of" "${train[@]}" --model multi-layer --hidden=$list
  expect 2 "--inputs $list: one of" graph --out - --inputs $list
done
expect 2 "--hidden 10,: one of" "${train[@]}" --model multi-layer --hidden 10 10,
expect 2 'hidden: 0: it must be at least 1' "${train[@]}" --hidden 0
expect 2 '--hidden 3,4: a simple-conv model' "${train[@]}" --model simple-conv --hidden 3,4
(echo a,b; seq 10001 | sed 's/.*/&,k&/') >"$work/numbered.csv"
expect 2 '10001 categories in 10001 rows; up to 10000.*--task regression' train --csv "$work/numbered.csv" --target b \
  --task classification --out "$work/numbered"
expect 2 "'convolve:3x3': it is not known" "${train[@]}" --layers convolve:3x3
expect 2 "'conv:3x30'.*kernel 30" "${train[@]}" --layers conv:3x30
expect 2 'they make \[7\] of an item' "${train[@]}" --layers flatten,affine:7
expect 2 'xcludes' "${train[@]}" --layers flatten,affine:10 --model two-layer
expect 2 '--batch: 0: it must be at least 1' "${train[@]}" --batch 0
expect 2 '6001' "${train[@]}" --batch 6001
expect 2 '--lr' "${train[@]}" --lr 0
expect 2 '--lr' "${train[@]}" --lr fast
expect 2 '--epochs' "${train[@]}" --epochs 0
expect 2 'sinus.*cosine' "${train[@]}" --schedule sinus
expect 2 'cosine:2' "${train[@]}" --schedule cosine:2
expect 2 '--validation' "${train[@]}" --validation 1
expect 2 'none' "${train[@]}" --validation 0.00001
expect 2 '--weight-decay' "${train[@]}" --weight-decay -1
expect 2 'all' "${train[@]}" --validation 0.99999
expect 2 '--clip: 0: it must be at least 1e-30; see tapegrad train --help$' "${train[@]}" --clip 0
expect 2 '--clip: nan' "${train[@]}" --clip nan
expect 2 '--lr: inf' "${train[@]}" --lr inf
expect 2 '--seed: -1' "${train[@]}" --seed -1
expect 2 '--warm-up: -1: it must be at least 0' "${train[@]}" --warm-up -1
expect 2 '--warm-up 60: there are 60 iterations' "${train[@]}" --epochs 1 --warm-up 60
expect 2 '--patience' "${train[@]}" --patience 0
expect 2 'dropout' "${train[@]}" --dropout 1
expect 2 'standardize' "${train[@]}" --standardize=rows
expect 2 'xcludes' "${train[@]}" --epochs 1 --iterations 1
expect 2 '--threads' "${train[@]}" --threads 0
expect 2 '--epochs 9223372036854775807' "${train[@]}" --epochs 9223372036854775807
expect 2 '--frob' "${train[@]}" --frob 1
expect 2 'relu\\x1b\[31m' "${train[@]}" --layers $'relu\e[31m'  # nothing that a terminal obeys
cp "$work/run/parameters.safetensors" "$work/before"
expect 1 'diverged in epoch' "${train[@]}" --lr 1e30
check "weights that are no numbers are not saved" cmp "$work/before" "$work/run/parameters.safetensors"
expect 1 'diverged in epoch' "${train[@]}" --lr 1e30 --iterations 1
expect 2 'sgd: the learning rate is 1e.38; .* at most 4.1e.31' "${train[@]}" --lr 1e38
expect 1 'nowhere' train --data "$work/nowhere" --out "$work/run"
touch "$work/file"
expect 1 'file' "${train[@]/$work\/run/$work/file}" --iterations 1
expect 1 'missing' "${train[@]}" --report "$work/missing/report.html"
expect 1 'is a folder' "${train[@]}" --report "$work"
expect 2 "--report $work/run/parameters.safetensors: the page is HTML; give it a name that ends in .html" \
  "${train[@]}" --report "$work/run/parameters.safetensors"
check "that is told before the training" [ ! -s "$work/out" ]
expect 0 'the report is' train --data "$mnist" --iterations 5 --out "$work/fresh" --report "$work/fresh/report.html"
expect 1 'missing' graph --out "$work/missing/net.dot"
# What is unknown is named before what is missing.
for command in graph predict export; do expect 2 "not expected: --uot=x; see tapegrad $command --help" "$command" --uot=x; done
expect 2 'no_such_op' gradcheck --op no_such_op
expect 2 '--dtype' gradcheck --dtype f16
expect 2 'close to it: matmul' gradcheck --op matmull
expect 2 'no sample #999' gradcheck --repro 'matmul#999'
expect 2 '--shard' gradcheck --shard 3/2
expect 2 '--order' gradcheck --order 7
expect 2 '--output' gradcheck --output "$work/missing/checks.json"
expect 2 'no_such_workload' bench --filter no_such_workload
expect 2 '--threads' bench --threads 0
expect 2 '--runs' bench --runs 0
expect 2 '--json' bench --filter W1 --json "$work/missing/bench.json"
expect 2 '--svg' bench --svg "$work/charts"
expect 2 '--svg' bench --grow --filter nodes-1000 --svg "$work/file/charts"

# ---- commands that are programs of their own ----
check "the checker is a program of its own" grep -q 'Random directions where a Jacobian' "$(dirname "$tapegrad")/tapegrad_gradcheck"
check "and no part of the command" bash -c "! grep -q 'Random directions where a Jacobian' '$tapegrad'"
expect 0 'Usage: tapegrad gradcheck' --help gradcheck
expect 0 '--filter TEXT' --help bench
expect 3 "repeat: $tapegrad gradcheck --repro \"tanh#0:seed=0\"" gradcheck --op tanh --mode fast --rtol 1e-30
mkdir -p "$work/alone/bin"
cp "$tapegrad" "$work/alone/bin"
built=$tapegrad
tapegrad=$work/alone/bin/tapegrad
expect 0 'gradcheck .*finite differences' --help
expect 6 '^tapegrad: .*/alone/bin/tapegrad_gradcheck: No such file .* cmake --build build/release --target tapegrad_gradcheck_cli$' gradcheck --op relu
check "an error is one line" [ "$(wc -l <"$work/err")" -eq 1 ]
expect 1 '/alone/bin/tapegrad_bench: No such file .* cmake --build build/release --target tapegrad_bench$' bench --list
expect 1 '^tapegrad: --distributed: .*/alone/bin/tapegrad_mpi: No such file .*libopenmpi-dev.* --target tapegrad_mpi$' "${train[@]}" --distributed
touch "$work/alone/CMakeCache.txt"
expect 6 "cmake --build $work/alone --target" gradcheck
tapegrad=$built

# ---- links, pipes and devices stay what they are ----
expect 0 'nodes' graph --out "$work/net7.dot"
ln -s net7.dot "$work/latest.dot"
cp "$work/net7.dot" "$work/net.expected"
: >"$work/net7.dot"
expect 0 'nodes' graph --out "$work/latest.dot"
check "a link stays" [ -L "$work/latest.dot" ]
check "the file behind it has the graph" cmp "$work/net7.dot" "$work/net.expected"
mkfifo "$work/pipe"
expect 1 'nobody reads' graph --out "$work/pipe"
exec {held}<>"$work/pipe" {reader}<"$work/pipe"  # open before cat starts: what nobody had open would be lost
timeout 60 cat <&"$reader" >"$work/piped" {held}>&- &  # which would never see the end if it held the pipe as well
exec {reader}<&-
expect 0 'nodes' graph --out "$work/pipe"
exec {held}>&-
wait $!
check "a pipe ends" [ $? -eq 0 ]
check "a pipe stays" [ -p "$work/pipe" ]
check "a pipe gets the graph" cmp "$work/piped" "$work/net.expected"
expect 0 'nodes' graph --out /dev/null
check "a device stays" [ -c /dev/null ]
expect 0 '^digraph' graph --out /dev/stdout
ln -s checks7.json "$work/latest.json"
expect 0 'relu' gradcheck --op relu --format json --output "$work/latest.json"
check "the checker's report goes where a link leads" [ -s "$work/checks7.json" ]
mkdir "$work/piped_data"
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  mkfifo "$work/piped_data/$name-ubyte"
done
expect 1 'is no regular file but a pipe' train --data "$work/piped_data" --out "$work/run"

mkdir "$work/damaged"
cp "$mnist"/*.gz "$work/damaged"
images=$work/damaged/train-images-idx3-ubyte.gz
head -c 100000 "$mnist/${images##*/}" >"$images"
expect 1 'train-images-idx3-ubyte.gz' train --data "$work/damaged" --out "$work/run"
head -c 1000 /dev/zero >"$images"
expect 1 'train-images-idx3-ubyte.gz' train --data "$work/damaged" --out "$work/run"
cp "$mnist/train-labels-idx1-ubyte.gz" "$images"
expect 1 'train-images-idx3-ubyte.gz' train --data "$work/damaged" --out "$work/run"
check "what was saved before is still there" [ -s "$work/run/parameters.safetensors" ]

finish "The command does what it should."
