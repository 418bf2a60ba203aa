#!/bin/bash
# Downscale a folder of CMIP6 files on one machine: an output for each model, experiment, member and year.
#
#   examples/archive.sh CMIP6_FOLDER OUTPUT_FOLDER
#
# Call it again after it was stopped (Ctrl-C), killed or out of time, or when files were added: what is whole stays as it is.
# OUTPUT_FOLDER gets the outputs, inspect/ (what zssd understood of each data set) and report.jsonl (what became of each
# output). Set by the environment:
#
#   YEARS=2015/2100          first and last year; also 2050, 2015/ or /2100
#   SPLIT=year               an output for each year, month or input; one for all times if empty
#   VARS=msl,u10,v10         what to write; what the input lacks is drawn given the rest
#   LIMIT=23h50m             stop in time, exit code 75; no limit if empty; SIGUSR1 does the same, exit code 138
#   OPTIONS='--region europe --members 8 --keep-spread --pack'      further options of zssd downscale, none with blanks
#
# Exit codes are those of zssd: 0 all is there; 3 some outputs failed, the others are there; 75 or 138
# out of time, call it again.

set -euo pipefail

if [ $# -ne 2 ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
archive=$1
out=${2%/}
years=${YEARS-2015/2100}
split=${SPLIT-year}
vars=${VARS:-msl,u10,v10}
limit=${LIMIT:-}
read -ra options <<< "${OPTIONS:-}"
report=$out/report.jsonl

# 1. What is there: a page for each data set, made of the first file of each of its variables. CMIP6 files are named
#    variable_table_model_experiment_member_grid_period.nc; of others, zssd downscale tells what they are.
mkdir -p "$out/inspect"
declare -A first=() sets=()
while IFS= read -r -d '' file; do
    IFS=_ read -r variable _ model experiment member grid _ <<< "$(basename "$file")"
    set=${model}_${experiment}_${member}_$grid
    if [[ $grid == *.nc ]]; then # CMIP5 has no grid label
        set=${model}_${experiment}_$member
    fi
    case $variable in
        psl | uas | vas | sfcWind)
            if [ -n "$grid" ] && [ -z "${first[$set/$variable]:-}" ]; then
                first[$set/$variable]=$file
                sets[$set]=1
            fi
            ;;
    esac
done < <(find -L "$archive" -name '*.nc' -print0 | sort -z)
for set in "${!sets[@]}"; do
    files=()
    for variable in psl uas vas sfcWind; do
        if [ -n "${first[$set/$variable]:-}" ]; then
            files+=("${first[$set/$variable]}")
        fi
    done
    page=$out/inspect/$set.txt
    if [ -e "$page" ] && [ -z "$(find -L "${files[@]}" -newer "$page")" ]; then
        continue
    fi
    # exit code 1: zssd downscale would refuse these files; the page says why
    zssd inspect "${files[@]}" > "$page.part" || echo "Refused    $set: see $page"
    mv "$page.part" "$page"
done

# 2. The work. --resume leaves whole outputs as they are, goes on with begun ones and makes the others. It runs beside this
# script, so that signals to the script alone reach it: Slurm's and a batch system's, or Ctrl-C, which bash keeps from it.
# A signal that comes while zssd is being started waits in $early: bash's child would lose it.
process='' early=''
# shellcheck disable=SC2317  # called by the traps
pass() { if [ -n "$process" ]; then kill "-$1" "$process" 2> /dev/null || true; else early=$1; fi; }
trap 'pass USR1' USR1
trap 'pass TERM' TERM INT HUP
zssd downscale "$archive" -o "$out/" --vars "$vars" --resume --report "$report" \
    ${years:+--years "$years"} ${split:+--split "$split"} ${limit:+--time-limit "$limit"} "${options[@]}" &
process=$!
if [ -n "$early" ]; then
    sleep 1
    kill "-$early" "$process" 2> /dev/null || true
fi
code=0
wait "$process" || code=$?
# a trapped signal ends the first wait at once; the second one waits for zssd to end
while kill -0 "$process" 2> /dev/null; do
    code=0
    wait "$process" || code=$?
done

# 3. What became of it: a line of JSON for each output.
case $code in
    0 | 3 | 75 | 138) ;;
    *) exit "$code" ;; # zssd has said why
esac
python3 - "$report" << 'END'
import collections, json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
counts = collections.Counter(line["status"] for line in lines)
reasons = collections.Counter((line["dataset"], line["error"]) for line in lines if line["status"] == "failed")
there = [line for line in lines if line["status"] in ("written", "whole")]
print("Summary    " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))
print(f"           {len(there)} outputs with {sum(line['times'] for line in there)} times are there")
for (dataset, error), count in reasons.items():
    print(f"{count} failed of {dataset}: {error}")
END
case $code in
    3) echo "Some outputs failed, the others are there. Mend or remove their input, then call this again." ;;
    75 | 138) echo "Out of time. Call this again, it goes on." ;;
esac
exit "$code"
