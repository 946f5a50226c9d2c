#!/bin/sh
# Signs a Sluice link: sign.sh KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.
# Needs openssl 3 and what every POSIX system has. It cannot hide a viewer or a network: openssl's command
# line has no authenticated encryption.
set -eu
export LC_ALL=C
umask 077
fail() { printf 'sign.sh: %s\n' "$1" >&2; exit 1; }
b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
member() { sed -nE 's/.*"'"$1"'" *: *"(([^"\\]|\\.)*)".*/\1/p' "$key"; } # a text of the key file, as JSON spells it
quoted() { sed 's/[].[]/\\\\&/g'; }                                      # for a pattern, and its \ for JSON
encoded() { # UTF-8; all but A-Z a-z 0-9 - . _ ~ and / becomes %XX
    od -An -v -tx1 | awk 'BEGIN { for (i = 33; i < 127; i++) sign[sprintf("%02x", i)] = sprintf("%c", i) }
        { for (i = 1; i <= NF; i++) printf "%s", sign[$i] ~ /^[A-Za-z0-9._~\/-]$/ ? sign[$i] : "%" toupper($i) }'
}

[ $# -ge 3 ] || fail 'KEY EDGE[,EDGE…] PATH [NAME=VALUE…] are needed'
key=$1 edges=$2 path=$3
[ -r "$key" ] || fail "cannot read $key"
shift 3
start_within=7200 session=21600 once=no id=$(openssl rand 16 | b64url) now=$(date +%s)
streams='' opens='' budget='' speed='' country='' device=no renew='' renew_s=60 offline=''
for word; do
    value=${word#*=}
    case $word in
        start_within=* | session=* | now=* | renew_s=* | offline=* | streams=* | opens=* | budget=* | speed=*)
            case $value in '' | 0* | *[!0-9]* | ????????????????*) fail "${word%%=*} is a whole number from 1" ;; esac ;;
        once=yes | once=no | device=yes | device=no | renew=cookie | renew=redirect) ;;
        country=*) printf '%s\n' "$value" | grep -qxE '[A-Z]{2}(,[A-Z]{2}){0,59}' ||
            fail 'country is up to 60 codes of two letters, such as DE,AT' ;;
        id=*) case $value in '' | *[!A-Za-z0-9_.~-]*) fail 'an id is 1 to 64 of A-Za-z0-9_.~-' ;; esac
            [ ${#value} -le 64 ] || fail 'an id is 1 to 64 of A-Za-z0-9_.~-' ;;
        *) fail "there is no option $word here" ;;
    esac
    case $word in
        start_within=*) start_within=$value ;; session=*) session=$value ;; now=*) now=$value ;;
        once=*) once=$value ;; id=*) id=$value ;; streams=*) streams=$value ;; opens=*) opens=$value ;;
        budget=*) budget=$value ;; speed=*) speed=$value ;; country=*) country=$value ;;
        device=*) device=$value ;; renew=*) renew=$value ;; renew_s=*) renew_s=$value ;;
        offline=*) offline=$value ;;
    esac
done
case $path in
    / | *//* | */./* | */../* | */. | */..) fail 'a path is like /v/film/main.m3u8' ;;
    /*) ;;
    *) fail 'a path starts with /' ;;
esac
[ "${speed:-16384}" -ge 16384 ] || fail 'speed is from 16384 bytes a second'
case $renew$path in
    cookie/d/*/*/* | redirect/d/*/*/* | cookie/d/*/ | redirect/d/*/) fail 'renew is for a download' ;;
    cookie/d/*/* | redirect/d/*/* | /*) ;;
    *) fail 'renew is for a download' ;;
esac
if [ -n "$offline" ]; then
    printf '%s\n' "$path" | grep -qxE '/d/[^/]+/ece/[^/]+' || fail 'offline is for a protected download'
    [ "$offline" -le 2592000 ] || fail 'offline is at most 2592000 seconds'
fi
case $edges in *[!]a-z0-9.:/,[-]*) fail 'an edge is like https://edge.example.org' ;; esac
[ "$(member alg)" = EdDSA ] || fail 'the key is no Ed25519 one'

path=$(printf %s "$path" | encoded)
edges=$(printf %s "$edges" | tr , '\n' | awk '!seen[$0]++')
if printf '%s\n' "$edges" | grep -qvE '^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?$'; then
    fail 'an edge is like https://edge.example.org'
fi
hosts=$(printf %s "$edges" | quoted | tr '\n' '|')
case $hosts in *'|'*) hosts="($hosts)" ;; esac
pattern=$(printf %s "$path" | quoted | sed -E 's#^(/v/[a-z0-9][a-z0-9_-]*/main\\\\\.)(m3u8|mpd)$#\1(m3u8|mpd)#')
case $once in yes) name=jti ;; *) name=lid ;; esac
limits='' more=''
for limit in streams:$streams opens:$opens budget:$budget speed:$speed; do
    [ -z "${limit#*:}" ] || limits="$limits,\"${limit%%:*}\":${limit#*:}"
done
[ -z "$country" ] || limits="$limits,\"countries\":[\"$(printf %s "$country" | sed 's/,/","/g')\"]"
[ "$device" = no ] || limits="$limits,\"device\":true"
[ -z "$limits" ] || more=",\"limits\":{${limits#,}},\"cdnicrit\":\"limits\""
[ -z "$offline" ] || more="$more,\"offline\":$offline"
case $renew in # RFC 9246 §3
    cookie) more="$more,\"cdnistt\":1,\"cdniets\":$renew_s,\"cdnistd\":3" ;;
    redirect) more="$more,\"cdnistt\":2,\"cdniets\":$renew_s,\"cdnistd\":3" ;;
esac
claims=$(printf '{"iss":"%s","aud":"sluice","iat":%s,"nbf":%s,"exp":%s,"cap":%s,"cdniuc":"regex:%s%s","%s":"%s"%s}' \
    "$(member iss)" "$now" $((now - 30)) $((now + start_within)) "$session" "$hosts" "$pattern" "$name" "$id" "$more")
text=$(printf '{"alg":"EdDSA","kid":"%s","typ":"JWT"}' "$(member kid)" | b64url).$(printf %s "$claims" | b64url)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{ # PKCS #8 (RFC 8410 §7): 16 bytes, then the 32 of the key
    printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'
    printf '%s=' "$(member d)" | tr '_-' '/+' | openssl base64 -d -A
} >"$folder/key"
printf %s "$text" >"$folder/text"
signature=$(openssl pkeyutl -sign -rawin -inkey "$folder/key" -keyform DER -in "$folder/text" | b64url)
first=${path#/} first=/${first%%/*}
printf '%s%s;URISigningPackage=%s.%s%s\n' "$(printf '%s\n' "$edges" | head -n 1)" "$first" "$text" "$signature" "${path#"$first"}"
