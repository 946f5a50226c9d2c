<?php
// Signs a Sluice link: sign.php KEY EDGE[,EDGE…] PATH [NAME=VALUE…]; docs/signing.md says what each is.
// Needs PHP 8.0 or newer with sodium and openssl, which come with it.
declare(strict_types=1);

const EDGE = '~^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]*)?$~D';
const OPTIONS = [
    'start_within' => 7200, 'session' => 21600, 'viewer' => null, 'network' => null, 'once' => 'no', 'id' => null, 'now' => 0,
    'streams' => null, 'opens' => null, 'budget' => null, 'speed' => null, 'country' => null, 'device' => 'no',
    'renew' => null, 'renew_s' => 60, 'offline' => null,
];

function b64url(string $data): string { return rtrim(strtr(base64_encode($data), '+/', '-_'), '='); }
function from_b64url(string $text): string { return base64_decode(strtr($text, '-_', '+/')); }
function part(array $value): string {
    return b64url(json_encode($value, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR));
}
function hide(array $key, string $text): string { // a compact JWE: dir, A128GCM
    if ($text === '' || strlen($text) > 256) throw new InvalidArgumentException('a viewer, a network, is 1 to 256 bytes');
    [$header, $nonce, $tag] = [part(['alg' => 'dir', 'enc' => 'A128GCM']), random_bytes(12), ''];
    $secret = from_b64url($key['viewer_key'] ?? throw new InvalidArgumentException('the key has no viewer_key'));
    $sealed = openssl_encrypt($text, 'aes-128-gcm', $secret, OPENSSL_RAW_DATA, $nonce, $tag, $header);
    return "$header.." . b64url($nonce) . '.' . b64url($sealed) . '.' . b64url($tag);
}
function seconds(int|string $value, string $what = 'number of seconds'): int {
    return preg_match('/^[1-9][0-9]{0,14}$/D', (string) $value) ? (int) $value : throw new InvalidArgumentException("$value is no $what");
}
function limits(array $option): array {
    $found = [];
    foreach (['streams', 'opens', 'budget', 'speed'] as $name) {
        if ($option[$name] !== null) $found[$name] = seconds($option[$name], 'limit');
    }
    if (($found['speed'] ?? 16384) < 16384) throw new InvalidArgumentException('speed is from 16384 bytes a second');
    if ($option['country'] !== null) {
        if (!preg_match('/^[A-Z]{2}(,[A-Z]{2}){0,59}$/D', $option['country']))
            throw new InvalidArgumentException('country is up to 60 codes of two letters, such as DE,AT');
        $found['countries'] = explode(',', $option['country']);
    }
    if (!in_array($option['device'], ['yes', 'no'], true)) throw new InvalidArgumentException('device is yes or no');
    return $option['device'] === 'yes' ? $found + ['device' => true] : $found;
}
function renewal(string $path, string $by, int|string $for): array { // RFC 9246 §3
    if (!in_array($by, ['cookie', 'redirect'], true) || !preg_match('~^/d/[^/]+/[^/]+$~D', $path))
        throw new InvalidArgumentException('renew is cookie or redirect, for a download');
    return ['cdnistt' => $by === 'cookie' ? 1 : 2, 'cdniets' => seconds($for), 'cdnistd' => 3];
}
function offline_use(string $path, int|string $for): array {
    if (!preg_match('~^/d/[^/]+/ece/[^/]+$~D', $path) || seconds($for) > 2592000)
        throw new InvalidArgumentException('offline is 1 to 2592000 seconds, for a protected download');
    return ['offline' => seconds($for)];
}
function quoted(string $text): string { return preg_replace('/[.\[\]]/', '\\\\$0', $text); }

function sign_link(array $key, array $edges, string $path, array $options = []): string {
    foreach (array_diff_key($options, OPTIONS) as $name => $_) throw new InvalidArgumentException("there is no option $name");
    $option = $options + OPTIONS;
    [$now, $start, $session] = array_map('seconds', [$option['now'] ?: time(), $option['start_within'], $option['session']]);
    $id = $option['id'] ?? b64url(random_bytes(16));
    if ($key['alg'] !== 'EdDSA' || !$edges || preg_grep(EDGE, $edges, PREG_GREP_INVERT))
        throw new InvalidArgumentException('the key is an Ed25519 one, an edge is like https://edge.example.org');
    if (!preg_match('~^(/[^/]+)+/?$~Du', $path) || array_intersect(['.', '..'], explode('/', $path)))
        throw new InvalidArgumentException('a path is like /v/film/main.m3u8');
    if (!in_array($option['once'], ['yes', 'no'], true) || !preg_match('/^[A-Za-z0-9_.~-]{1,64}$/D', $id))
        throw new InvalidArgumentException('once is yes or no, an id is 1 to 64 of A-Za-z0-9_.~-');
    $path = str_replace('%2F', '/', rawurlencode($path)); // all but A-Z a-z 0-9 - . _ ~ and / becomes %XX
    $hosts = array_map('quoted', array_values(array_unique($edges)));
    $pattern = preg_replace('~^(/v/[a-z0-9][a-z0-9_-]*/main\\\\\.)(m3u8|mpd)$~D', '$1(m3u8|mpd)', quoted($path));
    $claims = ['iss' => $key['iss'], 'aud' => 'sluice', 'iat' => $now, 'nbf' => $now - 30, 'exp' => $now + $start, 'cap' => $session];
    $claims['cdniuc'] = 'regex:' . (count($hosts) > 1 ? '(' . implode('|', $hosts) . ')' : $hosts[0]) . $pattern;
    $claims[$option['once'] === 'yes' ? 'jti' : 'lid'] = $id;
    if ($option['viewer'] !== null) $claims['sub'] = hide($key, $option['viewer']);
    if ($option['network'] !== null) $claims['cdniip'] = hide($key, $option['network']);
    if ($limits = limits($option)) $claims += ['limits' => $limits, 'cdnicrit' => 'limits'];
    if ($option['offline'] !== null) $claims += offline_use($path, $option['offline']);
    if ($option['renew'] !== null) $claims += renewal($path, $option['renew'], $option['renew_s']);
    $text = part(['alg' => 'EdDSA', 'kid' => $key['kid'], 'typ' => 'JWT']) . '.' . part($claims);
    $pair = sodium_crypto_sign_seed_keypair(from_b64url($key['jwk']['d']));
    $token = "$text." . b64url(sodium_crypto_sign_detached($text, sodium_crypto_sign_secretkey($pair)));
    return $edges[0] . preg_replace('~^/[^/]+~', "\$0;URISigningPackage=$token", $path);
}

if (PHP_SAPI === 'cli' && realpath($_SERVER['argv'][0]) === __FILE__) {
    try {
        [$file, $edges, $path] = array_pad(array_slice($argv, 1, 3), 3, '');
        $options = [];
        foreach (array_slice($argv, 4) as $word) {
            [$name, $value] = explode('=', "$word=", 2);
            $options[$name] = substr($value, 0, -1);
        }
        $key = json_decode((string) @file_get_contents($file), true, 9, JSON_THROW_ON_ERROR);
        echo sign_link($key, explode(',', $edges), $path, $options), "\n";
    } catch (InvalidArgumentException | JsonException $error) {
        fwrite(STDERR, "sign.php: {$error->getMessage()}\n");
        exit(1);
    }
}
