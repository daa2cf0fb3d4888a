#!/bin/sh
# Makes the token key and the passwords of docker-compose.yml, once: each volume gets what its reader needs, and no more.
#
#   init.sh SYMBOLON REDIS POSTGRES     the three directories
set -eu
umask 077

symbolon=$1 redis=$2 postgres=$3

# Written last: while it is missing nothing has been started with the others, and they may be made anew.
if [ -s "$symbolon/token_key" ]; then
    echo 'init: the token key and the passwords are there already'
    exit 0
fi

random() { od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# write FILE OWNER: standard input, readable by its owner alone, whole or not at all.
write() {
    cat >"$1.new"
    chmod 400 "$1.new"
    # In a container this is root, and the readers are not.
    if [ "$(id -u)" -eq 0 ]; then
        chown "$2" "$1.new"
    fi
    mv "$1.new" "$1"
}

redis_password=$(random)
postgres_password=$(random)
if [ "${#redis_password}" -ne 64 ] || [ "${#postgres_password}" -ne 64 ]; then
    echo 'init: the kernel gives no random bytes' >&2
    exit 1
fi
redis_digest=$(printf %s "$redis_password" | sha256sum | cut -d ' ' -f 1)

printf %s "$postgres_password" | write "$postgres/password" root

# What symbolon may do is the list of docs/REDIS-KEYS.md; the health check may ask whether Redis answers.
write "$redis/users.acl" redis <<USERS
user default off
user health on nopass resetkeys resetchannels -@all +ping
user symbolon on #$redis_digest resetkeys ~g:* ~symbolon:witness resetchannels -@all +get +set +del +scan +evalsha +eval +script|load +role +info +time +ping +unwatch +hello +auth +select
USERS

# 65532 is the user of the image (Dockerfile).
printf 'redis://symbolon:%s@redis:6379' "$redis_password" | write "$symbolon/redis_url" 65532
printf 'postgres://symbolon:%s@postgres:5432/symbolon?sslmode=disable' "$postgres_password" |
    write "$symbolon/database_url" 65532
head -c 32 /dev/urandom | base64 | write "$symbolon/token_key" 65532

# So that they outlive the loss of power that comes next.
sync
echo 'init: the token key and the passwords are made'
