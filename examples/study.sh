#!/bin/bash
# A study on a workstation: one model, one region, two periods. Looks at the files, fits the bias of the model, draws
# members of both periods, scores the historical one against reanalysis, and tells how the climate changes.
#
#   HIST='cmip6/psl_*_historical_*.nc' FUTURE='cmip6/psl_*_ssp585_*.nc' ERA5='era5/*.nc' examples/study.sh OUTPUT_FOLDER
#
# Call it again after it was stopped: what is there and newer than what it is made of stays as it is. The scores are in
# evaluation.md and change.md of OUTPUT_FOLDER, the pictures beside them. Set by the environment:
#
#   HIST, FUTURE, ERA5       files: a folder, or a pattern in quotes. ERA5 at 0.25 degree, of the years of YEARS
#   HELD=msl                 variables that the model's files hold: their bias is fitted
#   VARS=msl,u10,v10         what to write; what the model's files lack is drawn given the rest
#   REGION=europe            a name, or W,E,S,N in degrees
#   YEARS=1995/2014          years of the fit: 20 or 30 of the historical run and ERA5
#   THEN=2014-01 NOW=2100-01 what is downscaled of the historical run and of the scenario; START/END works too.
#                            A month of six-hourly fields and 8 members of Europe takes hours on a processor: step 3
#                            says how many before it begins.
#   MEMBERS=8
#   OPTIONS='--workers 4'    further options of zssd downscale, none with blanks
#
# It ends at the first error, with the exit code of zssd.

set -euo pipefail

if [ $# -ne 1 ] || [ -z "${HIST:-}" ] || [ -z "${FUTURE:-}" ] || [ -z "${ERA5:-}" ]; then
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
out=${1%/}
held=${HELD:-msl}
vars=${VARS:-msl,u10,v10}
region=${REGION:-europe}
years=${YEARS:-1995/2014}
then=${THEN:-2014-01}
now=${NOW:-2100-01}
members=${MEMBERS:-8}
read -ra options <<< "${OPTIONS:-}"
mkdir -p "$out"

# A folder holds one study: other settings would leave results that do not belong together.
settings=$(printf '%s\n' "HIST=$HIST" "FUTURE=$FUTURE" "ERA5=$ERA5" "HELD=$held" "VARS=$vars" "REGION=$region" "YEARS=$years" \
    "THEN=$then" "NOW=$now" "MEMBERS=$members" "OPTIONS=${OPTIONS:-}")
if [ -e "$out/settings.txt" ] && ! diff "$out/settings.txt" - <<< "$settings" >&2; then
    echo "$out holds a study with other settings (above: <). Give those, or another folder." >&2
    exit 1
fi
echo "$settings" > "$out/settings.txt"

# Whether a file is there and newer than all that it is made of: fresh RESULT FILE...
fresh() {
    local result=$1 file
    shift
    [ -e "$result" ] || return 1
    for file in "$@"; do
        if [ "$file" -nt "$result" ]; then
            return 1
        fi
    done
    echo "There      $result"
}

# 1. What zssd understands of the two runs. Exit code 1: it would refuse them; the page says why.
look() {
    fresh "$2" && return
    zssd inspect "$1" > "$2.part" || { cat "$2.part" && exit 1; }
    mv "$2.part" "$2"
    cat "$2"
}
look "$HIST" "$out/historical.txt"
look "$FUTURE" "$out/scenario.txt"

# 2. The model's bias, from the years that it shares with ERA5. Fitted once, used for both runs.
bias=$out/bias.nc
fresh "$bias" || zssd debias fit --historical "$HIST" --reference "$ERA5" --target "$FUTURE" \
    --vars "$held" --region "$region" --time "$years" -o "$bias"

# 3. Both periods. --resume leaves a whole output as it is and goes on with one that was begun.
draw() {
    if [ ! -e "$3" ] && [ ! -e "$3.parts" ]; then
        zssd downscale "$1" --time "$2" --vars "$vars" --region "$region" --members "$members" --debias "$bias" \
            "${options[@]}" -o "$3" --dry-run
    fi
    zssd downscale "$1" --time "$2" --vars "$vars" --region "$region" --members "$members" --debias "$bias" \
        "${options[@]}" -o "$3" --resume
}
draw "$HIST" "$then" "$out/historical.nc"
draw "$FUTURE" "$now" "$out/scenario.nc"

# 4. Scores: the model's weather is not ERA5's day by day, so climates are compared, not times.
fresh "$out/evaluation.md" "$out/historical.nc" || zssd evaluate "$out/historical.nc" --reference "$ERA5" --distributional \
    --markdown "$out/evaluation.md" --json "$out/evaluation.json" --plot "$out/evaluation.png" --overwrite

# 5. The change from one period to the other, beside the model's own, which has its bias still.
fresh "$out/change.md" "$out/historical.nc" "$out/scenario.nc" || zssd evaluate "$out/scenario.nc" \
    --historical "$out/historical.nc" --coarse "$FUTURE" --coarse-historical "$HIST" --vars "$held" \
    --markdown "$out/change.md" --json "$out/change.json" --csv "$out/change.csv" --overwrite

# 6. Pictures: members beside the input, their mean and spread. Spectra are in evaluation.png.
plot() {
    fresh "$3" "$1" || zssd plot "$1" --kind "$2" -o "$3" "${@:4}"
}
for period in historical scenario; do
    plot "$out/$period.nc" spread "$out/$period-spread.png"
done
plot "$out/historical.nc" map "$out/historical-members.png" --input "$HIST"
plot "$out/scenario.nc" map "$out/scenario-members.png" --input "$FUTURE"
echo "Study      $out/evaluation.md, $out/change.md and the pictures beside them"
