-- However many tabs come with a refresh token that the store has lost, it is told once.
CREATE UNIQUE INDEX changes_lost_rotation ON changes (target) WHERE kind = 'lost-rotation';
